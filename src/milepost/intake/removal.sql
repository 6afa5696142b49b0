-- name: add
-- The delta as what was there: its contributions are what residue keeps.
UPDATE delta SET sign = 1

-- name: take
-- The delta as what goes.
UPDATE delta SET sign = -1

-- name: bury
-- Removed ids are never counted again, nor those of the same activities at an earlier time.
WITH moved AS (
    UPDATE milepost.tombstone SET current_id = NULL WHERE tenant_id = %(tenant_id)s AND current_id = ANY (%(ids)s)
)
INSERT INTO milepost.tombstone (tenant_id, id, current_id)
SELECT %(tenant_id)s, id, NULL FROM unnest(%(ids)s::uuid[]) AS i (id)
ON CONFLICT (tenant_id, id) DO NOTHING
