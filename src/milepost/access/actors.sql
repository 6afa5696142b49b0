-- Reading actors.

-- name: get_actor
-- One actor.
SELECT external_id, kind, name, attributes::text FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND external_id = %(id)s;

-- name: list_actors
-- A page of actors in the order of their ids, from after the last one seen.
SELECT external_id, kind, name, attributes::text FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND external_id > %(after)s
  AND (%(query)s::text IS NULL OR name ILIKE %(query)s OR external_id ILIKE %(query)s)
ORDER BY external_id
LIMIT %(limit)s;

-- name: actor_ids
-- The numbers of actors by their ids.
SELECT external_id, actor_id FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND external_id = ANY (%(ids)s::text[]);

-- name: actor_names
-- The ids of actors by their numbers.
SELECT actor_id, external_id FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND actor_id = ANY (%(ids)s::bigint[]);
