-- name: by_ids
-- Activities by public or current id. A moved one is found through its tombstone; a retracted one is not found. CASE, not coalesce:
-- under row-level security the latter kept the id from the index, and every partition was read. OFFSET 0: each is looked up, as on a page.
SELECT w.asked, {columns}
FROM (
    SELECT i.asked, CASE WHEN t.current_id IS NOT NULL THEN t.current_id ELSE i.asked END AS id
    FROM unnest(%(ids)s::uuid[]) AS i (asked)
    LEFT JOIN milepost.tombstone t ON t.tenant_id = %(tenant_id)s AND t.id = i.asked
) w
CROSS JOIN LATERAL (SELECT s.* FROM milepost.activity s WHERE s.tenant_id = %(tenant_id)s AND s.id = w.id OFFSET 0) s
JOIN milepost.actor a ON a.tenant_id = %(tenant_id)s AND a.actor_id = s.actor_id
LEFT JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = s.group_id
WHERE {visible}
