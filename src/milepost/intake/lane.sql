-- name: acquire
-- Only the database's clock counts, so that skewed process clocks do no harm. SKIP LOCKED: a row that is locked has a load
-- under way, whose holder is alive; waiting for it would tie up this session.
UPDATE milepost.lane
SET holder = %(holder)s, epoch = epoch + 1, expires_at = clock_timestamp() + %(lease_s)s * interval '1 second'
WHERE lane = (
    SELECT lane FROM milepost.lane
    WHERE lane = %(lane)s AND (expires_at <= clock_timestamp() OR holder = %(holder)s)
    FOR UPDATE SKIP LOCKED
)
RETURNING epoch;

-- name: exists
-- A lane that was never made can't be waited for.
SELECT EXISTS (SELECT FROM milepost.lane WHERE lane = %(lane)s);

-- name: renew
-- An expired lease that nobody took is still ours: only the epoch decides.
UPDATE milepost.lane SET expires_at = clock_timestamp() + %(lease_s)s * interval '1 second'
WHERE lane = %(lane)s AND epoch = %(epoch)s
RETURNING epoch;

-- name: release
-- The epoch stays, so that a load of ours that is still under way may finish; the next holder raises it.
UPDATE milepost.lane SET holder = NULL, expires_at = '-infinity' WHERE lane = %(lane)s AND epoch = %(epoch)s;

-- name: fence
-- Held to the end of the load: nobody can take the lane between this look and the commit.
SELECT epoch FROM milepost.lane WHERE lane = %(lane)s FOR NO KEY UPDATE;

-- name: start
-- Where a new holder begins. Positions of another cluster mean nothing here (after a logical restore they would hide
-- batches), so then it begins before everything, as with no position; the marks say what is loaded.
SELECT CASE WHEN deployment.system_identifier = control.system_identifier THEN lane.position::text END
FROM milepost.lane, milepost.deployment, pg_control_system() AS control
WHERE lane.lane = %(lane)s;

-- name: poll_isolation
-- One snapshot for all that a poll reads.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: poll_plan
-- The tables are filled and truncated faster than statistics follow. These make the one good plan the only one: the tail of
-- each primary key, and one probe of the marks for each batch in it. (OFFSET 0 keeps the probe a sub-plan: as a join, planned
-- while the tables were empty, it read all marks for each batch, 0.2 s a poll after 8,000 batches.)
SELECT set_config(name, value, true) FROM (VALUES
    ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
    ('enable_sort', 'off'), ('enable_material', 'off'), ('jit', 'off'), ('plan_cache_mode', 'force_generic_plan')
) AS setting (name, value);

-- name: poll_head
-- What this poll sees, and how many tables it has to read.
SELECT pg_current_snapshot()::text, tables FROM milepost.queue;

-- name: new_in_table
-- Batches of transactions that began after the snapshot `since`, from a place on. A later page must see no more than the
-- first one did (`until`): what came between the two is smaller than the place, or is found again.
SELECT q.batch_id, q.tenant_id, q.kind, q.model, q.rows, q.received_at, 'queue_template' AS stored_in, q.txid
FROM milepost.queue_template AS q
WHERE q.lane = %(lane)s
    -- The only lower bound there is: beside a second one (txid >= …) PostgreSQL may begin the scan at the wrong one.
    AND (q.txid, q.batch_id) > (%(from_txid)s::xid8, %(from_batch_id)s::bigint)
    AND (%(until)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(q.txid, %(until)s::pg_snapshot))
    AND NOT EXISTS (SELECT FROM milepost.queue_template_loaded AS mark WHERE mark.batch_id = q.batch_id OFFSET 0)
ORDER BY q.txid, q.batch_id
LIMIT %(batches_max)s;

-- name: poll_new
-- A page in the order of the primary key, so that the next one can begin where it ends.
SELECT batch_id, tenant_id, kind, model, rows, received_at, stored_in, found.txid::text
FROM every_table AS found
ORDER BY found.txid, batch_id
LIMIT %(batches_max)s;

-- name: poll_late
-- Batches of the transactions that were under way in the snapshot `since`: the few that it names, however long ago they
-- began. (From its xmin on, one idle transaction elsewhere would have every poll read all that came after it.)
SELECT q.batch_id, q.tenant_id, q.kind, q.model, q.rows, q.received_at, 'queue_template' AS stored_in, q.txid::text
FROM milepost.queue_template AS q
WHERE q.lane = %(lane)s
    AND q.txid = ANY (ARRAY(SELECT pg_snapshot_xip(%(since)s::pg_snapshot)))
    AND NOT EXISTS (SELECT FROM milepost.queue_template_loaded AS mark WHERE mark.batch_id = q.batch_id OFFSET 0);

-- name: payloads
-- LATERAL with a LIMIT: by primary key, one by one, whatever the planner believes of a table that was empty a second ago.
SELECT q.payload
FROM unnest(%(txids)s::xid8[], %(batch_ids)s::bigint[]) WITH ORDINALITY AS wanted (txid, batch_id, number)
CROSS JOIN LATERAL (
    SELECT payload FROM milepost.queue_template
    WHERE lane = %(lane)s AND txid = wanted.txid AND batch_id = wanted.batch_id
    LIMIT 1
) AS q
ORDER BY wanted.number;

-- name: mark
-- In the transaction that loads the batches: this is what makes a load happen once. A second mark breaks the primary key.
INSERT INTO milepost.queue_template_loaded (batch_id, lane, position, loaded, duplicates, result)
SELECT batch_id, %(lane)s, position, loaded, duplicates, result::jsonb
FROM unnest(%(batch_ids)s::bigint[], %(positions)s::bigint[], %(loaded)s::integer[], %(duplicates)s::integer[],
    %(results)s::text[]) AS mark (batch_id, position, loaded, duplicates, result);

-- name: advance
-- Only saves the next holder from reading what is loaded, and lets rotation truncate.
UPDATE milepost.lane SET position = %(position)s::pg_snapshot WHERE lane = %(lane)s AND epoch = %(epoch)s
RETURNING epoch;
