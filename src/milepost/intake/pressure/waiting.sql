-- What waits to be loaded, by lane and tenant.

-- name: plan
-- As for the lanes' polls: only what lies beyond the positions is read, however much is loaded.
SELECT set_config(name, value, true) FROM (VALUES
    ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
    ('enable_material', 'off'), ('jit', 'off')
) AS setting (name, value);

-- name: tables
-- How many tables the queue has.
SELECT tables FROM milepost.queue;

-- name: waiting
-- New since the lane's position, without a mark. (Positions of another cluster are dropped before anything is loaded.)
SELECT lane.lane, waiting.tenant_id, sum(waiting.rows)::bigint,
    greatest(extract(epoch FROM clock_timestamp() - min(waiting.received_at)), 0)::float8
FROM milepost.lane
CROSS JOIN LATERAL (SELECT COALESCE(lane.position, '1:1:'::pg_snapshot)) AS start (position)
CROSS JOIN LATERAL (
    SELECT q.batch_id, q.tenant_id, q.rows, q.received_at FROM milepost.queue_template AS q
    WHERE q.lane = lane.lane AND q.txid >= pg_snapshot_xmax(start.position)
    UNION ALL
    SELECT q.batch_id, q.tenant_id, q.rows, q.received_at FROM milepost.queue_template AS q
    WHERE q.lane = lane.lane AND q.txid = ANY (ARRAY(SELECT pg_snapshot_xip(start.position)))
) AS waiting
WHERE NOT EXISTS (SELECT FROM milepost.queue_template_loaded AS mark WHERE mark.batch_id = waiting.batch_id)
GROUP BY lane.lane, waiting.tenant_id;
