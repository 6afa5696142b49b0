-- name: insert
-- In the transaction that marks the batch, so that each row is in one place or the other.
INSERT INTO milepost.dead_letter (tenant_id, batch_id, kind, model, first_row, rows, batch_rows, received_at, via, tries,
    first_failed_at, failed_at, error_class, error, facts, payload)
SELECT %(tenant_id)s, %(batch_id)s, %(kind)s, %(model)s, first_row, rows, %(batch_rows)s, %(received_at)s, %(via)s, tries,
    first_failed_at, failed_at, error_class, error, facts::jsonb, payload
FROM unnest(%(first_rows)s::integer[], %(rows)s::integer[], %(tries)s::integer[], %(first_failed_at)s::timestamptz[],
    %(failed_at)s::timestamptz[], %(error_classes)s::text[], %(errors)s::text[], %(facts)s::text[], %(payloads)b::bytea[])
    AS letter (first_row, rows, tries, first_failed_at, failed_at, error_class, error, facts, payload)
RETURNING letter_id;
