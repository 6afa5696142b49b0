-- name: tables
-- How many tables the queue has.
SELECT tables FROM milepost.queue

-- name: set_aside
-- What of a batch could not be loaded lies here, until it is replayed; and whether that is all of it.
SELECT coalesce(sum(rows), 0)::integer, coalesce(sum(rows) >= min(coalesce(batch_rows, rows)), false)
FROM milepost.dead_letter
WHERE tenant_id = %(tenant_id)s AND batch_id = %(batch_id)s

-- name: mark
-- What became of a batch, for as long as its table has not been emptied.
SELECT loaded, duplicates, result FROM milepost.queue_template_loaded WHERE batch_id = %(batch_id)s

-- name: waiting
-- A batch that is not marked: still there, or gone with its table because everything in it was loaded. By its lane's
-- index: tables are emptied after minutes, so this looks at some thousand entries at most.
SELECT 1 FROM milepost.queue_template WHERE lane = %(lane)s AND batch_id = %(batch_id)s AND tenant_id = %(tenant_id)s
