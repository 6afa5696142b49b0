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

-- name: page
-- A page of what a tenant has lying there, oldest first; without the payloads, which may be large.
SELECT letter_id, batch_id, kind, first_row, rows, batch_rows, model, via, received_at, tries, first_failed_at, failed_at,
    error_class, error, facts
FROM milepost.dead_letter
WHERE tenant_id = %(tenant_id)s AND letter_id > %(after)s
    AND (%(ids)s::bigint[] IS NULL OR letter_id = ANY (%(ids)s::bigint[]))
    AND (%(error_class)s::text IS NULL OR error_class = %(error_class)s)
    AND (%(kind)s::smallint IS NULL OR kind = %(kind)s)
    AND (%(since)s::timestamptz IS NULL OR failed_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR failed_at < %(until)s)
ORDER BY letter_id
LIMIT %(limit)s;

-- name: one
-- One letter, with its payload.
SELECT letter_id, batch_id, kind, first_row, rows, batch_rows, model, via, received_at, tries, first_failed_at, failed_at,
    error_class, error, facts, payload
FROM milepost.dead_letter
WHERE tenant_id = %(tenant_id)s AND letter_id = %(letter_id)s;

-- name: take
-- Letters that are replayed or discarded, out of the table, in the transaction that says what became of them. Two that take the same
-- ones at once: each letter is one's. SKIP LOCKED, so that the second takes the next ones instead of waiting. Bounded in bytes, too:
-- payloads may be large.
WITH found AS MATERIALIZED (
    SELECT letter_id, octet_length(payload) AS bytes FROM milepost.dead_letter
    WHERE tenant_id = %(tenant_id)s AND letter_id > %(after)s AND letter_id <= %(up_to)s
        AND (%(ids)s::bigint[] IS NULL OR letter_id = ANY (%(ids)s::bigint[]))
        AND (%(error_class)s::text IS NULL OR error_class = %(error_class)s)
        AND (%(kind)s::smallint IS NULL OR kind = %(kind)s)
        AND (%(since)s::timestamptz IS NULL OR failed_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR failed_at < %(until)s)
    ORDER BY letter_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), fitting AS (
    SELECT letter_id FROM (SELECT letter_id, sum(bytes) OVER (ORDER BY letter_id) - bytes AS before FROM found) AS summed
    WHERE before < %(bytes_max)s
)
DELETE FROM milepost.dead_letter AS letter
USING fitting
WHERE letter.tenant_id = %(tenant_id)s AND letter.letter_id = fitting.letter_id
RETURNING letter.letter_id, batch_id, kind, first_row, rows, batch_rows, model, via, received_at, tries, first_failed_at,
    failed_at, error_class, error, facts, payload;

-- name: newest
-- What is set aside from now on is not taken: a letter that fails again would be replayed again and again.
SELECT coalesce(max(letter_id), 0) FROM milepost.dead_letter WHERE tenant_id = %(tenant_id)s;

-- name: keep
-- What the current model does not take stays, under the letter's own number and with the time at which it failed first.
INSERT INTO milepost.dead_letter (tenant_id, letter_id, batch_id, kind, model, first_row, rows, batch_rows, received_at, via, tries,
    first_failed_at, error_class, error, facts, payload)
VALUES (%(tenant_id)s, coalesce(%(letter_id)s, nextval(pg_get_serial_sequence('milepost.dead_letter', 'letter_id'))),
    %(batch_id)s, %(kind)s, %(model)s, %(first_row)s, %(rows)s, %(batch_rows)s, %(received_at)s, %(via)s, %(tries)s,
    %(first_failed_at)s, %(error_class)s, %(error)s, %(facts)s, %(payload)b);

-- name: queue_state
-- The table to write. A stale answer does no harm: readers read every table.
SELECT current FROM milepost.queue;

-- name: lane
-- Where the tenant's batches go.
SELECT lane FROM milepost.tenant WHERE tenant_id = %(tenant_id)s;

-- name: queue_again
-- Into the queue, in the transaction that takes the letters out. A command keeps the time at which it was received: it holds from
-- then on.
INSERT INTO milepost.queue_template (lane, tenant_id, kind, model, rows, received_at, payload)
VALUES (%(lane)s, %(tenant_id)s, %(kind)s, %(model)s, %(rows)s, coalesce(%(received_at)s, clock_timestamp()), %(payload)b)
RETURNING batch_id;

-- name: log
-- Who did what about which letters, and why.
INSERT INTO milepost.dead_letter_log (tenant_id, done, by, reason, letters, rows, errors, batches)
VALUES (%(tenant_id)s, %(done)s, %(by)s, %(reason)s, %(letters)s, %(rows)s, %(errors)s, %(batches)s);

-- name: log_page
-- The newest first.
SELECT log_id, at, done, by, reason, cardinality(letters), rows, errors, batches
FROM milepost.dead_letter_log
WHERE tenant_id = %(tenant_id)s AND (%(before)s::bigint IS NULL OR log_id < %(before)s)
ORDER BY log_id DESC
LIMIT %(limit)s;

-- name: model_of
-- The model that a letter was accepted under.
SELECT toml FROM milepost.model_version WHERE version = %(version)s;
