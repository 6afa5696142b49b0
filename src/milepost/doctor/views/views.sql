-- name: schema
-- Beside the application's own schemas, so that no name can clash.
CREATE SCHEMA IF NOT EXISTS milepost_doctor;

-- name: slow_queries
-- By all time that a statement took: the first lines are what to look at.
CREATE OR REPLACE VIEW milepost_doctor.slow_queries AS
SELECT s.queryid, sum(s.calls)::bigint AS calls, round((sum(s.total_exec_time) / sum(s.calls))::numeric, 3) AS mean_ms,
       round(max(s.max_exec_time)::numeric, 3) AS slowest_ms, round(sum(s.total_exec_time)::numeric, 1) AS total_ms,
       round((100 * sum(s.total_exec_time) / sum(sum(s.total_exec_time)) OVER ())::numeric, 2) AS time_percent,
       round(sum(s.rows)::numeric / sum(s.calls), 1) AS rows_per_call,
       round(100.0 * sum(s.shared_blks_hit) / nullif(sum(s.shared_blks_hit + s.shared_blks_read), 0), 2) AS hit_percent,
       sum(s.temp_blks_written)::bigint AS temp_blocks, min(s.query) AS query
FROM pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY s.queryid
ORDER BY total_ms DESC;

-- name: index_usage_stats
-- Those that nothing reads first, the largest of them on top.
CREATE OR REPLACE VIEW milepost_doctor.index_usage_stats AS
SELECT s.schemaname, s.relname AS table_name, s.indexrelname AS index_name, s.idx_scan AS scans, s.idx_tup_read AS entries_read,
       s.idx_tup_fetch AS rows_fetched, pg_relation_size(s.indexrelid) AS bytes, pg_size_pretty(pg_relation_size(s.indexrelid)) AS size,
       i.indisunique AS is_unique, i.indisprimary AS is_primary, i.indisvalid AS is_valid,
       t.n_tup_ins + t.n_tup_upd + t.n_tup_del AS table_writes,
       CASE WHEN NOT i.indisvalid THEN 'invalid'
            WHEN s.idx_scan = 0 AND i.indisunique THEN 'constraint only'
            WHEN s.idx_scan = 0 THEN 'never read'
            ELSE 'read' END AS usage,
       pg_get_indexdef(s.indexrelid) AS definition
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
JOIN pg_stat_user_tables t ON t.relid = s.relid
ORDER BY s.idx_scan, bytes DESC;

-- name: table_performance_stats
-- The largest first: what each is read and written like, and what vacuum has left.
CREATE OR REPLACE VIEW milepost_doctor.table_performance_stats AS
SELECT s.schemaname, s.relname AS table_name, s.n_live_tup AS rows, s.n_dead_tup AS dead_rows,
       round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 2) AS dead_percent,
       s.seq_scan AS seq_scans, s.seq_tup_read AS rows_read_by_seq_scans, s.idx_scan AS index_scans,
       round(100.0 * s.idx_scan / nullif(s.seq_scan + s.idx_scan, 0), 2) AS index_percent,
       s.n_tup_ins AS inserts, s.n_tup_upd AS updates, s.n_tup_del AS deletes,
       round(100.0 * s.n_tup_hot_upd / nullif(s.n_tup_upd, 0), 2) AS hot_percent,
       round(100.0 * io.heap_blks_hit / nullif(io.heap_blks_hit + io.heap_blks_read, 0), 2) AS hit_percent,
       pg_table_size(s.relid) AS table_bytes, pg_indexes_size(s.relid) AS index_bytes, pg_size_pretty(pg_total_relation_size(s.relid)) AS size,
       greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum, greatest(s.last_analyze, s.last_autoanalyze) AS last_analyze
FROM pg_stat_user_tables s
JOIN pg_statio_user_tables io ON io.relid = s.relid
ORDER BY table_bytes DESC;

-- name: remove
-- History may be kept in the same schema: it goes only when it is empty.
DO $$
BEGIN
    DROP VIEW IF EXISTS milepost_doctor.slow_queries, milepost_doctor.index_usage_stats, milepost_doctor.table_performance_stats;
    DROP SCHEMA IF EXISTS milepost_doctor;
EXCEPTION WHEN dependent_objects_still_exist THEN
    DROP VIEW IF EXISTS milepost_doctor.slow_queries, milepost_doctor.index_usage_stats, milepost_doctor.table_performance_stats;
END $$;
