-- Cold rows become activities here: as a recordset of the activity table's own type, so that what is asked of an activity in PostgreSQL
-- can be asked of them in the same words.

-- name: judged
-- Which of these cold rows are wanted: none that is in PostgreSQL too, or was retracted or moved since it was archived.
SELECT s.id FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) s
WHERE {matches}
    AND NOT EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = s.id)
    AND NOT EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = s.id)

-- name: shown
-- Cold rows as an answer shows them.
SELECT {columns} FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) s
JOIN milepost.actor a ON a.tenant_id = %(tenant_id)s AND a.actor_id = s.actor_id
LEFT JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = s.group_id

-- name: current_ids
-- Where activities are now that once had these ids, but for those that were retracted.
SELECT i.asked, CASE WHEN t.current_id IS NOT NULL THEN t.current_id ELSE i.asked END
FROM unnest(%(ids)s::uuid[]) AS i (asked)
LEFT JOIN milepost.tombstone t ON t.tenant_id = %(tenant_id)s AND t.id = i.asked
WHERE t.id IS NULL OR t.current_id IS NOT NULL
