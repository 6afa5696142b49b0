-- name: rows
-- Failing now: the last failure is younger than the last success.
SELECT failed_count AS failed, to_char(last_failed_time, 'YYYY-MM-DD HH24:MI') AS last_failed, last_failed_wal AS last_wal,
       to_char(last_archived_time, 'YYYY-MM-DD HH24:MI') AS last_archived
FROM pg_stat_archiver
WHERE failed_count >= %(failed_min)s AND last_failed_time > coalesce(last_archived_time, '-infinity');
