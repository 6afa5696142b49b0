-- name: begin
-- A source that nobody has moved from yet.
INSERT INTO milepost.relay (source, position) VALUES (%(source)s, '') ON CONFLICT (source) DO NOTHING;

-- name: position
-- How far it has been moved.
SELECT position FROM milepost.relay WHERE source = %(source)s;

-- name: advance
-- No row: another process has moved these, or some of them, and our transaction must not. A second one waits here for the first.
UPDATE milepost.relay SET position = %(position)s, moved_at = clock_timestamp()
WHERE source = %(source)s AND position = %(after)s
RETURNING 1;

-- name: move
-- Batches into the queue, in the arrays' order, with the time they were received; and which batch each receipt stands for.
WITH moved AS (
    SELECT nextval('milepost.batch_id') AS batch_id, batch.*
    FROM unnest(%(receipt_ids)s::bigint[], %(lanes)s::smallint[], %(tenant_ids)s::integer[], %(kinds)s::smallint[],
        %(models)s::integer[], %(rows)s::integer[], %(received_at)s::timestamptz[], %(payloads)b::bytea[])
        AS batch (receipt_id, lane, tenant_id, kind, model, rows, received_at, payload)
), queued AS (
    INSERT INTO milepost.queue_template (batch_id, lane, tenant_id, kind, model, rows, received_at, payload)
    SELECT batch_id, lane, tenant_id, kind, model, rows, received_at, payload FROM moved
)
INSERT INTO milepost.relayed (receipt_id, batch_id) SELECT receipt_id, batch_id FROM moved;

-- name: note
-- Which batch a receipt stands for, where the batch came into the queue otherwise.
INSERT INTO milepost.relayed (receipt_id, batch_id) VALUES (%(receipt_id)s, %(batch_id)s);

-- name: finished
-- A source that is empty and gone for good, as a drained spill file of a process that ended.
DELETE FROM milepost.relay WHERE source = %(source)s;

-- name: batch_of
-- The batches that receipts of other queues stand for, as far as they have been moved.
SELECT receipt_id, batch_id FROM milepost.relayed WHERE receipt_id = ANY (%(receipt_ids)s::bigint[]);

-- name: forget
-- A bounded step of dropping what receipts stood for long ago: by then all of it is loaded.
DELETE FROM milepost.relayed
WHERE receipt_id IN (
    SELECT receipt_id FROM milepost.relayed WHERE moved_at < clock_timestamp() - %(hours)s * interval '1 hour' LIMIT %(rows_max)s
);
