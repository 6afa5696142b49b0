-- Reading what an actor follows: at most some thousand rows, all in one place of the primary key.

-- name: followed
-- All of it, by numbers.
SELECT kind, target_id, object_kind, object_id FROM milepost.follow
WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor_id)s
ORDER BY kind, target_id, object_kind, object_id;

-- name: list_follows
-- A page of it by names, which are sorted here: the rows are few, and in the order of numbers.
SELECT kind, target, since FROM (
    SELECT f.kind, f.since,
        CASE f.kind WHEN 0 THEN t.external_id WHEN 1 THEN g.external_id ELSE f.object_kind || '/' || f.object_id END AS target
    FROM milepost.actor a
    JOIN milepost.follow f ON f.tenant_id = a.tenant_id AND f.actor_id = a.actor_id
    LEFT JOIN milepost.actor t ON f.kind = 0 AND t.tenant_id = f.tenant_id AND t.actor_id = f.target_id
    LEFT JOIN milepost.groups g ON f.kind = 1 AND g.tenant_id = f.tenant_id AND g.group_id = f.target_id
    WHERE a.tenant_id = %(tenant_id)s AND a.external_id = %(actor)s AND (%(kind)s::smallint IS NULL OR f.kind = %(kind)s)
) f
WHERE (kind, target) >= (%(first_kind)s::smallint, %(first_id)s::text COLLATE "C")
ORDER BY kind, target COLLATE "C"
LIMIT %(limit)s;
