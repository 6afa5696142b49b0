-- Reading actors.

-- name: get_actor
-- One actor.
SELECT a.external_id, a.kind, a.name, a.attributes::text FROM milepost.actor a
WHERE a.tenant_id = %(tenant_id)s AND a.external_id = %(id)s AND {known};

-- name: list_actors
-- A page of actors in the order of their ids, from after the last one seen. {actors}: where they are looked for.
SELECT a.external_id, a.kind, a.name, a.attributes::text FROM {actors}
WHERE a.tenant_id = %(tenant_id)s AND a.external_id > %(after)s
  AND (%(query)s::text IS NULL OR a.name ILIKE %(query)s OR a.external_id ILIKE %(query)s) AND {known}
ORDER BY a.external_id
LIMIT %(limit)s;

-- name: every_actor
-- Where actors are looked for: in the order of their ids.
milepost.actor a

-- name: few_actors
-- Where actors are looked for: those that a viewer may be told of, where they are few.
unnest(%(few)s::bigint[]) few (actor_id)
CROSS JOIN LATERAL (
    SELECT * FROM milepost.actor a WHERE a.tenant_id = %(tenant_id)s AND a.actor_id = few.actor_id OFFSET 0
) a

-- name: actor_ids
-- The numbers of actors by their ids.
SELECT external_id, actor_id FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND external_id = ANY (%(ids)s::text[]);

-- name: actor_names
-- The ids of actors by their numbers.
SELECT actor_id, external_id FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND actor_id = ANY (%(ids)s::bigint[]);
