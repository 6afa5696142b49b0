-- name: analyze_parents
-- Partitioned tables: autovacuum analyses their partitions and never themselves.
SELECT 'ANALYZE ' || c.oid::regclass FROM pg_class c
WHERE c.relnamespace = 'milepost'::regnamespace AND c.relkind = 'p' ORDER BY 1

-- name: vacuum
-- Tables in which much is dead, or whose oldest rows come near the age at which PostgreSQL must freeze them.
SELECT s.schemaname || '.' || s.relname, s.n_live_tup, s.n_dead_tup,
    round(s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0)::numeric, 3)::float8,
    greatest(s.last_vacuum, s.last_autovacuum), greatest(s.last_analyze, s.last_autoanalyze),
    round(age(c.relfrozenxid) / current_setting('autovacuum_freeze_max_age')::numeric, 3)::float8
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
WHERE (s.n_dead_tup > 10000 AND s.n_dead_tup > 0.2 * s.n_live_tup)
    OR age(c.relfrozenxid) > 0.9 * current_setting('autovacuum_freeze_max_age')::bigint
ORDER BY s.n_dead_tup DESC LIMIT 50

-- name: unused_indexes
-- Indexes that no scan used since the counters were reset, the largest first; not those that keep a constraint. Of an index of a
-- partitioned table, all partitions together.
SELECT coalesce(p.inhparent, s.indexrelid)::regclass::text, sum(s.idx_scan)::bigint, sum(pg_relation_size(s.indexrelid))::bigint,
    (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database())
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid AND NOT i.indisunique AND NOT i.indisexclusion
LEFT JOIN pg_inherits p ON p.inhrelid = s.indexrelid
GROUP BY 1 HAVING sum(s.idx_scan) = 0 AND sum(pg_relation_size(s.indexrelid)) > 65536
ORDER BY 3 DESC LIMIT 50

-- name: capacity
-- How much there was of each kind and tier at the first and the last record of a span, and on which days those were.
SELECT tier, kind, first.day, last.day, first.bytes, last.bytes, first.rows, last.rows
FROM (
    SELECT tier, kind, min(day) AS low, max(day) AS high FROM milepost.storage_growth
    WHERE day >= %(since)s GROUP BY tier, kind
) k
CROSS JOIN LATERAL (SELECT k.low AS day, sum(g.bytes)::bigint AS bytes, sum(g.rows)::bigint AS rows FROM milepost.storage_growth g
    WHERE g.day = k.low AND g.tier = k.tier AND g.kind = k.kind) first
CROSS JOIN LATERAL (SELECT k.high AS day, sum(g.bytes)::bigint AS bytes, sum(g.rows)::bigint AS rows FROM milepost.storage_growth g
    WHERE g.day = k.high AND g.tier = k.tier AND g.kind = k.kind) last
ORDER BY last.bytes DESC
