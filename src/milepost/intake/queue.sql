-- name: queue_state
-- The table to write and how many there are. A stale answer does no harm: readers read every table.
SELECT current, tables FROM milepost.queue;

-- name: enqueue
-- One statement, and so one transaction and one round trip, for all callers that wait. Rows are inserted and returned in the
-- arrays' order, and ids grow in it.
INSERT INTO milepost.queue_template (lane, tenant_id, kind, model, rows, payload)
SELECT lane, tenant_id, kind, model, rows, payload
FROM unnest(%(lanes)s::smallint[], %(tenant_ids)s::integer[], %(kinds)s::smallint[], %(models)s::integer[],
    %(rows)s::integer[], %(payloads)b::bytea[]) AS batch (lane, tenant_id, kind, model, rows, payload)
RETURNING batch_id;

-- name: drop_expired_answer
-- An Idempotency-Key counts for a day; then it is as new.
DELETE FROM milepost.idempotency
WHERE tenant_id = %(tenant_id)s AND key_hash = %(key_hash)s
    AND created_at < clock_timestamp() - %(hours)s * interval '1 hour';

-- name: claim_answer
-- Who inserts the key enqueues the batch; a second one waits here until the first has committed (then there is no row) or not
-- (then it inserts). The batch's id is drawn in the same step, since the answer holds it.
INSERT INTO milepost.idempotency (tenant_id, key_hash, body_hash, answer)
VALUES (
    %(tenant_id)s, %(key_hash)s, %(body_hash)b,
    %(answer)s::jsonb || jsonb_build_object('receipt', nextval('milepost.batch_id')::text)
)
ON CONFLICT (tenant_id, key_hash) DO NOTHING
RETURNING (answer ->> 'receipt')::bigint;

-- name: enqueue_claimed
-- In the transaction that claimed the key: both are there or neither is. One that was spilled keeps the time it was received.
INSERT INTO milepost.queue_template (batch_id, lane, tenant_id, kind, model, rows, received_at, payload)
VALUES (%(batch_id)s, %(lane)s, %(tenant_id)s, %(kind)s, %(model)s, %(rows)s,
    coalesce(%(received_at)s, clock_timestamp()), %(payload)b);

-- name: earlier_answer
-- What was answered to the first request with this key.
SELECT body_hash, answer, (answer ->> 'receipt')::bigint
FROM milepost.idempotency
WHERE tenant_id = %(tenant_id)s AND key_hash = %(key_hash)s;

-- name: forget_answers
-- A bounded step of cleaning, run by the owner: no policy hides a tenant's rows from it. SKIP LOCKED: a key in use is not old.
DELETE FROM milepost.idempotency AS old
USING (
    SELECT tenant_id, key_hash FROM milepost.idempotency
    WHERE created_at < clock_timestamp() - %(hours)s * interval '1 hour'
    LIMIT %(rows_max)s
    FOR UPDATE SKIP LOCKED
) AS found
WHERE old.tenant_id = found.tenant_id AND old.key_hash = found.key_hash;

-- name: outcome_plan
-- The marks are few or many from one second to the next; by primary key is always right.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);

-- name: outcomes
-- All that somebody waits for, in one look.
SELECT batch_id, position, loaded, duplicates, result
FROM milepost.queue_template_loaded
WHERE batch_id = ANY (%(batch_ids)s::bigint[]);

-- name: backlog_plan
-- As for the lanes' polls: only what lies beyond the positions is read, however much is loaded.
SELECT set_config(name, value, true) FROM (VALUES
    ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
    ('enable_material', 'off'), ('jit', 'off')
) AS setting (name, value);

-- name: lanes
-- Lanes with nothing to load are shown as well, and whether anyone serves them.
SELECT lane, expires_at > clock_timestamp(), holder FROM milepost.lane ORDER BY lane;

-- name: backlog
-- What each lane has not loaded: new since its position, without a mark. The positions of another cluster count as none.
SELECT lane.lane, count(*), sum(waiting.rows)::bigint,
    greatest(extract(epoch FROM clock_timestamp() - min(waiting.received_at)), 0)::float8
FROM milepost.lane
CROSS JOIN (
    SELECT deployment.system_identifier = control.system_identifier
    FROM milepost.deployment, pg_control_system() AS control
) AS positions (valid)
CROSS JOIN LATERAL (
    SELECT CASE WHEN positions.valid AND lane.position IS NOT NULL THEN lane.position ELSE '1:1:'::pg_snapshot END
) AS start (position)
CROSS JOIN LATERAL (
    SELECT q.batch_id, q.rows, q.received_at FROM milepost.queue_template AS q
    WHERE q.lane = lane.lane AND q.txid >= pg_snapshot_xmax(start.position)
    UNION ALL
    SELECT q.batch_id, q.rows, q.received_at FROM milepost.queue_template AS q
    WHERE q.lane = lane.lane AND q.txid = ANY (ARRAY(SELECT pg_snapshot_xip(start.position)))
) AS waiting
WHERE NOT EXISTS (SELECT FROM milepost.queue_template_loaded AS mark WHERE mark.batch_id = waiting.batch_id)
GROUP BY lane.lane;
