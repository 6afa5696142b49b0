-- name: is_foreign
-- Whether the data came from another cluster: by a logical restore, or by pg_upgrade.
SELECT deployment.system_identifier <> control.system_identifier
FROM milepost.deployment, pg_control_system() AS control;

-- name: is_foreign_locked
-- Two that look at once: the second waits, and sees that it is done.
SELECT deployment.system_identifier <> control.system_identifier
FROM milepost.deployment, pg_control_system() AS control
FOR UPDATE OF deployment;

-- name: adopt_lanes
-- A new epoch takes the lanes from whoever read them by the old numbers; a load under way is waited for.
UPDATE milepost.lane SET epoch = epoch + 1, holder = NULL, expires_at = '-infinity', position = NULL;

-- name: adopt_batches
-- The one update there ever is: transaction numbers of another cluster would be found again and again, or never.
UPDATE milepost.queue_template SET txid = pg_current_xact_id();

-- name: adopt_deployment
-- From here on positions count again.
UPDATE milepost.deployment SET system_identifier = control.system_identifier FROM pg_control_system() AS control;

-- name: queue_state
-- Where the rotation stands.
SELECT current, tables FROM milepost.queue;

-- name: lock_queue
-- One rotation at a time. SKIP LOCKED: another process is at it, so there is nothing to do.
SELECT current, tables, extract(epoch FROM clock_timestamp() - rotated_at)::float8
FROM milepost.queue FOR UPDATE SKIP LOCKED;

-- name: make_table
-- Not vacuumed: there are no dead rows, and it is truncated long before anything needs freezing.
CREATE TABLE milepost.queue_number (LIKE milepost.queue_template INCLUDING ALL)
WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);

-- name: make_marks
-- The marks of a table go with it.
CREATE TABLE milepost.queue_number_loaded (LIKE milepost.queue_template_loaded INCLUDING ALL)
WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);

-- name: grant_table
-- The service inserts and reads; it neither updates nor deletes nor truncates.
GRANT SELECT, INSERT ON milepost.queue_number, milepost.queue_number_loaded TO milepost_service;

-- name: count_table
-- Readers learn of a new table by this number, in the snapshot in which they can first see a row of it.
UPDATE milepost.queue SET tables = %(tables)s;

-- name: use_table
-- Whoever still believes in the old one may write it: it is read until it is truncated, and afterwards again.
UPDATE milepost.queue SET current = %(table)s, rotated_at = clock_timestamp();

-- name: is_used
-- A table is free when neither it nor its marks hold anything; and how large it is.
SELECT EXISTS (SELECT FROM milepost.queue_template) OR EXISTS (SELECT FROM milepost.queue_template_loaded),
    pg_total_relation_size('milepost.queue_template');

-- name: lock_timeout
-- Whoever waits for ACCESS EXCLUSIVE makes all others wait behind it, so it gives up soon and comes again.
SELECT set_config('lock_timeout', %(lock_timeout)s, true);

-- name: index_only
-- For `unseen`: it must be quick while the table is locked.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);

-- name: any_plan
-- For `table_state`, which reads all of a table.
SELECT set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true);

-- name: unseen
-- Whether the table has a batch that a snapshot does not see: `since`, or without it the position of the batch's lane. By index
-- probes alone; the lanes are hopped along, because a row's lane need not be among those we know.
WITH RECURSIVE present (lane) AS (
    (SELECT lane FROM milepost.queue_template ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT q.lane FROM milepost.queue_template AS q WHERE q.lane > present.lane ORDER BY q.lane LIMIT 1)
    FROM present WHERE present.lane IS NOT NULL
)
SELECT EXISTS (
    SELECT FROM present
    LEFT JOIN milepost.lane ON lane.lane = present.lane
    CROSS JOIN LATERAL (
        SELECT COALESCE(%(since)s::pg_snapshot, lane.position, '1:1:'::pg_snapshot)
    ) AS start (position)
    WHERE present.lane IS NOT NULL AND (
        EXISTS (
            SELECT FROM milepost.queue_template AS q
            WHERE q.lane = present.lane AND q.txid >= pg_snapshot_xmax(start.position)
        )
        OR EXISTS (
            SELECT FROM milepost.queue_template AS q
            WHERE q.lane = present.lane AND q.txid = ANY (ARRAY(SELECT pg_snapshot_xip(start.position)))
        )
    )
);

-- name: table_state
-- Whether every batch that this snapshot sees has its mark and lies below its lane's position; how many transactions ago the
-- last mark was made, and whether it is younger than we keep marks for those who wait for them.
SELECT
    pg_current_snapshot()::text,
    NOT EXISTS (
        SELECT FROM milepost.queue_template AS q
        LEFT JOIN milepost.lane ON lane.lane = q.lane
        WHERE lane.position IS NULL
            OR NOT pg_visible_in_snapshot(q.txid, lane.position)
            OR NOT EXISTS (SELECT FROM milepost.queue_template_loaded AS mark WHERE mark.batch_id = q.batch_id)
    ),
    (SELECT min(age(mark.xmin)) FROM milepost.queue_template_loaded AS mark),
    (SELECT max(mark.loaded_at) FROM milepost.queue_template_loaded AS mark)
        > clock_timestamp() - %(keep_s)s * interval '1 second';

-- name: horizon
-- How many transactions ago the oldest snapshot was taken that somebody still holds in this database. (Of sessions whose details
-- we may not see, only the transactions that write are known.)
SELECT greatest(
    age(pg_snapshot_xmin(pg_current_snapshot())::xid),
    (SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid())
);

-- name: lock_table
-- Waits out everyone who has inserted and not committed: after it, the snapshot sees all rows there are.
LOCK TABLE milepost.queue_template, milepost.queue_template_loaded IN ACCESS EXCLUSIVE MODE;

-- name: truncate_table
-- Both or neither: marks without batches would do no harm, batches without marks would be loaded again.
TRUNCATE milepost.queue_template, milepost.queue_template_loaded;
