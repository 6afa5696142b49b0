-- name: rows
-- PostgreSQL 15 and 16 count them for the background writer.
SELECT checkpoints_req AS requested, checkpoints_timed AS timed, pg_size_bytes(current_setting('max_wal_size')) AS size_bytes
FROM pg_stat_bgwriter
WHERE checkpoints_req >= %(count_min)s AND checkpoints_req >= %(part_min)s * (checkpoints_req + checkpoints_timed);

-- name: rows_17
-- From 17 on the checkpointer counts; restarts of an idle one are timed and not done.
SELECT num_requested AS requested, num_timed AS timed, pg_size_bytes(current_setting('max_wal_size')) AS size_bytes
FROM pg_stat_checkpointer
WHERE num_requested >= %(count_min)s AND num_requested >= %(part_min)s * (num_requested + num_timed);
