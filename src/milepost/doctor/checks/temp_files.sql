-- name: rows
-- Of this database since its counters began.
SELECT temp_files AS files, temp_bytes AS bytes, temp_bytes / temp_files AS file_bytes,
       pg_size_bytes(current_setting('work_mem')) AS work_mem_bytes, current_setting('max_connections')::int AS connections
FROM pg_stat_database
WHERE datname = current_database() AND temp_files >= %(files_min)s
  AND temp_bytes * 3600 / %(stats_age_s)s >= %(bytes_per_hour_min)s;
