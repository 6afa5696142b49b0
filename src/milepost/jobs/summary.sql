-- name: tenants
-- What came in on a day (UTC), by tenant: as counted when it was accepted.
SELECT t.name, u.activities
FROM milepost.tenant_use u JOIN milepost.tenant t USING (tenant_id)
WHERE u.day = %(day)s
ORDER BY u.activities DESC LIMIT 100

-- name: trouble
-- What waits for somebody: dead letters, open alerts, jobs that failed in the last day.
SELECT (SELECT coalesce(sum(rows), 0) FROM milepost.dead_letter)::bigint,
    (SELECT count(*) FROM milepost.alert WHERE resolved_at IS NULL),
    ARRAY(SELECT DISTINCT name FROM milepost.job_run
          WHERE outcome IN ('failed', 'lost') AND started_at > clock_timestamp() - interval '1 day' ORDER BY name)

-- name: database
-- The database as its own counters see it, since they were last reset.
SELECT pg_database_size(current_database()), numbackends, xact_commit, xact_rollback, deadlocks, temp_bytes,
    round(blks_hit / nullif(blks_hit + blks_read, 0)::numeric, 4)::float8,
    (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid())
FROM pg_stat_database WHERE datname = current_database()
