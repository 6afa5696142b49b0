-- name: index_named
-- An index of that name in that schema: whose it is, and whether it is whole. What a constraint rests on cannot be dropped by itself.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, i.indrelid::bigint AS table_oid,
       tn.nspname AS table_schema, t.relname AS table_name, t.relkind::text AS table_kind, c.relkind::text AS kind,
       i.indisvalid AND i.indisready AND i.indislive AS valid, i.indisunique AS is_unique, i.indisprimary AS is_primary,
       i.indisclustered AS is_clustered, i.indisreplident AS is_identity,
       pg_get_indexdef(c.oid) AS definition,
       (SELECT k.conname FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x') LIMIT 1) AS of_constraint
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_index i ON i.indexrelid = c.oid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE c.relname = %(name)s AND CASE WHEN %(schema)s::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = %(schema)s END;

-- name: leaves
-- The partitions of a partitioned table that have rows, with their sizes, the smallest first: a fault shows early.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name
FROM pg_partition_tree(%(table)s::regclass) p
JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.isleaf ORDER BY pg_relation_size(c.oid), c.oid;

-- name: name_taken
-- Any relation of that name; an index shares its names with tables.
SELECT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = %(name)s AND n.nspname = %(schema)s
);

-- name: drop
-- Of a partitioned table, with those of its partitions: that cannot be concurrent.
DROP INDEX IF EXISTS {index};

-- name: drop_concurrently
-- Waits for those who use the table, and blocks nobody.
DROP INDEX CONCURRENTLY IF EXISTS {index};
