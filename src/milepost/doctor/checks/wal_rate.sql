-- name: rows
-- Of the whole server since its counters began.
SELECT wal_bytes / %(cluster_stats_age_s)s::numeric AS bytes_per_s, wal_fpi AS images, wal_records AS records
FROM pg_stat_wal
WHERE wal_bytes >= %(bytes_per_s_min)s * %(cluster_stats_age_s)s AND wal_fpi >= %(images_part_min)s * wal_records
  AND wal_records > 0 AND %(cluster_stats_age_s)s >= %(age_s_min)s;
