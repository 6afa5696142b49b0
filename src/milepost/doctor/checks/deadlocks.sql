-- name: rows
-- Of this database since its counters began.
SELECT deadlocks, deadlocks * 86400 / %(stats_age_s)s AS per_day, current_setting('deadlock_timeout') AS timeout
FROM pg_stat_database
WHERE datname = current_database() AND deadlocks >= %(count_min)s AND deadlocks * 86400 / %(stats_age_s)s >= %(per_day_min)s;
