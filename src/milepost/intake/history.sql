-- Filling what a model has new from history.

-- name: fillings
-- What is still to be filled from history in this lane.
SELECT f.tenant_id, f.name, f.filled_to
FROM milepost.filling f JOIN milepost.tenant t USING (tenant_id)
WHERE t.lane = %(lane)s
ORDER BY f.tenant_id, f.name

-- name: next_chunk
-- The end of the next chunk of history: the id after which the chunk is full, or NULL for the last one.
SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id >= %(low)s ORDER BY id OFFSET %(rows)s LIMIT 1

-- name: filled_to
-- The chunk is counted: from here on loads fold below this id.
UPDATE milepost.filling SET filled_to = %(high)s WHERE tenant_id = %(tenant_id)s AND name = %(name)s

-- name: filled
-- All of history is counted.
DELETE FROM milepost.filling WHERE tenant_id = %(tenant_id)s AND name = %(name)s
