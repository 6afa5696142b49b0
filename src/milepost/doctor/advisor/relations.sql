-- name: tables
-- Tables that can have an index of their own, partitioned ones with their leaves' pages and rows.
SELECT c.oid::regclass::text AS name, n.nspname AS schema, c.relname AS relname, c.relkind = 'p' AS partitioned,
       whole.leaves, whole.pages, whole.rows
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT count(*)::int AS leaves, coalesce(sum(l.relpages), 0)::int AS pages, coalesce(sum(greatest(l.reltuples, 0)), 0)::float8 AS rows
  FROM pg_class l
  WHERE l.oid = c.oid AND c.relkind <> 'p' OR c.relkind = 'p' AND l.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)
) whole
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_t';

-- name: columns
-- What is known of each column: how wide, how many values, in which order, and the values that are more frequent than others.
SELECT a.attrelid::regclass::text AS table_name, a.attname AS name, quote_ident(a.attname) AS quoted,
       format_type(a.atttypid, a.atttypmod) AS type, t.typcategory::text AS category, t.typlen AS length,
       t.typalign::text AS align,
       t.oid NOT IN ('numeric'::regtype, 'float4'::regtype, 'float8'::regtype, 'jsonb'::regtype) AS dedups,
       EXISTS (SELECT 1 FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
               WHERE m.amname = 'btree' AND o.opcdefault
                 AND (o.opcintype = t.oid OR t.typcategory IN ('S', 'E', 'A', 'R') OR t.typtype = 'd')) AS sorts,
       coalesce(s.avg_width, nullif(t.typlen, -1), 16)::int AS width, coalesce(s.n_distinct, 0)::float8 AS n_distinct,
       coalesce(s.null_frac, 0)::float8 AS null_frac, coalesce(s.correlation, 0)::float8 AS correlation
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm', 'p')
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
     AND s.inherited = (c.relkind = 'p')
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_t'
ORDER BY a.attrelid, a.attnum;

-- name: indexes
-- The indexes that are there, with their keys as SQL; those that keep a promise (unique, a constraint, the replica identity) are
-- needed whatever is asked, and a partitioned one with its parts is left as it is.
SELECT i.indrelid::regclass::text AS table_name, i.indexrelid::regclass::text AS name, x.relname AS relname, m.amname AS method,
       array(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) n) AS keys,
       array(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(i.indnkeyatts + 1, i.indnatts) n) AS include,
       i.indoption::int2[] AS options, pg_get_expr(i.indpred, i.indrelid) AS predicate,
       i.indisunique OR i.indisexclusion OR i.indisreplident OR x.relispartition OR x.relkind = 'I'
         OR EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid) AS needed,
       pg_get_indexdef(i.indexrelid) AS definition, x.relpages AS pages
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam
JOIN pg_namespace n ON n.oid = x.relnamespace
WHERE i.indisvalid AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_t';
