-- name: server
-- Of all databases, since they share the disk, the connections and the ids. WAL is a counter: what was written, not what is kept.
SELECT 'server_bytes' AS name, sum(pg_database_size(oid))::float8 AS size, NULL::float8 AS bound
FROM pg_database WHERE datallowconn AND has_database_privilege(oid, 'CONNECT')
UNION ALL
SELECT 'database_bytes', pg_database_size(current_database())::float8, NULL
UNION ALL
SELECT 'connections', count(*)::float8, current_setting('max_connections')::float8 - current_setting('superuser_reserved_connections')::float8
FROM pg_stat_activity WHERE backend_type = 'client backend'
UNION ALL
SELECT 'transaction_ids', max(age(datfrozenxid))::float8, 2000000000 FROM pg_database
UNION ALL
SELECT 'wal_bytes', wal_bytes::float8, NULL FROM pg_stat_wal;

-- name: tables
-- The largest tables, and beside each its indexes.
WITH largest AS (
    SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS name
    FROM pg_class t
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY t.relpages DESC
    LIMIT %(most)s
)
SELECT 'table_bytes ' || name AS name, pg_table_size(oid)::float8 AS size, NULL::float8 AS bound FROM largest
UNION ALL
SELECT 'index_bytes ' || name, pg_indexes_size(oid)::float8, NULL FROM largest;

-- name: sequences
-- Those that have counted at all, the furthest first. What is no sequence makes the functions fail, whatever else the condition says.
WITH counted AS (
    SELECT 'sequence ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
           CASE WHEN c.relkind = 'S' AND has_sequence_privilege(c.oid, 'SELECT') THEN pg_sequence_last_value(c.oid)::float8 END AS size,
           least(s.seqmax, CASE format_type(a.atttypid, NULL) WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 ELSE s.seqmax END)::float8
               AS bound
    FROM pg_sequence s
    JOIN pg_class c ON c.oid = s.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE NOT s.seqcycle AND s.seqincrement > 0 AND n.nspname !~ '^pg_'
)
SELECT name, size, bound FROM counted WHERE size IS NOT NULL ORDER BY size / bound DESC LIMIT %(most)s;
