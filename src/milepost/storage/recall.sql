-- Cold activities that come back into PostgreSQL because something is about to change with them.

-- name: any
-- Nearly all tenants' loads end here. The largest cold id there is.
SELECT high FROM milepost.cold_file WHERE tenant_id = %(tenant_id)s AND state = 'cold' ORDER BY high DESC LIMIT 1

-- name: bring_back
-- As they were, but for those that are in PostgreSQL already, or were retracted or moved. Nothing derived moves: it counts them all along.
WITH back AS (
    INSERT INTO milepost.activity ({names})
    SELECT {names} FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) s
    WHERE NOT EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = s.id)
        AND NOT EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = s.id)
    RETURNING tenant_id, id, audience, more_groups
)
INSERT INTO milepost.activity_stream (tenant_id, group_id, audience, id)
SELECT tenant_id, unnest(more_groups), audience, id FROM back WHERE more_groups IS NOT NULL

-- name: touched_objects
-- Objects of the delta whose pairs are computed anew, and reach down to where the archive is: one that was opened there has its row. What
-- else the archive has of an object, closings before any opening, makes no pair.
SELECT DISTINCT d.object_kind, d.object_id FROM delta d
WHERE d.object_id IS NOT NULL AND d.verb = ANY (%(verbs)s::text[]) AND (d.id <= %(high)s OR EXISTS (
    SELECT FROM {pairs} p
    WHERE p.tenant_id = %(tenant_id)s AND p.object_kind = d.object_kind AND p.object_id = d.object_id AND p.opened_id <= %(high)s))

-- name: taken_back
-- What is taken back: days of these times are computed anew.
SELECT actor_id, occurred_at FROM delta WHERE sign < 0

-- name: groups_below
-- The groups whose activities a change of these groups moves.
SELECT DISTINCT group_id FROM milepost.group_reach WHERE tenant_id = %(tenant_id)s AND ancestor_id = ANY (%(groups)s::bigint[])

-- name: members_below
-- Their members, at whatever time.
SELECT DISTINCT m.actor_id FROM milepost.member m WHERE m.tenant_id = %(tenant_id)s AND m.group_id = ANY (%(groups)s::bigint[])
