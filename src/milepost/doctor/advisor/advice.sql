-- name: usage
-- An index that nobody has scanned since the statistics were reset may be needless; the workload alone cannot say so.
SELECT indexrelid::regclass::text AS name, idx_scan::bigint AS scans
FROM pg_stat_user_indexes;
