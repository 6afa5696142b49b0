-- name: server_settings
-- What decides plans and was set there on purpose: with other costs, a scratch copy would answer for another server.
SELECT name, current_setting(name) AS value
FROM pg_settings
WHERE (starts_with(category, 'Query Tuning') OR name IN ('work_mem', 'hash_mem_multiplier', 'maintenance_work_mem'))
  AND source NOT IN ('default', 'client', 'session')
  AND context IN ('user', 'superuser');

-- name: roles
-- Policies name roles: without them a restored policy fails, and with it its table's plans differ.
SELECT DISTINCT r.rolname
FROM pg_policy p CROSS JOIN unnest(p.polroles) AS named (oid) JOIN pg_roles r ON r.oid = named.oid
WHERE r.rolname !~ '^pg_';

-- name: relations_besides
-- Everything with a definition that is neither chosen, nor a partition or a parent of something chosen.
WITH RECURSIVE family (oid) AS (
    SELECT chosen::regclass::oid FROM unnest(%(tables)s::text[]) AS given (chosen)
    UNION
    SELECT CASE WHEN i.inhrelid = f.oid THEN i.inhparent ELSE i.inhrelid END
    FROM family f JOIN pg_inherits i ON f.oid IN (i.inhrelid, i.inhparent)
)
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.oid NOT IN (SELECT oid FROM family);

-- name: tables_of
-- What is to be copied of each table: names as PostgreSQL quotes them, its columns without generated ones, and about how many rows it
-- has. A partitioned table's rows are its partitions', and come through it.
SELECT format('%%I.%%I', n.nspname, c.relname) AS name, n.nspname AS schema, c.relname AS relation,
       (SELECT array_agg(a.attname ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
       GREATEST(0, CASE WHEN c.relkind = 'p'
                        THEN (SELECT sum(GREATEST(p.reltuples, 0)) FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid
                              WHERE t.isleaf)
                        WHEN c.reltuples < 0 THEN pg_relation_size(c.oid) / 100
                        ELSE c.reltuples * CASE WHEN c.relpages = 0 THEN 1
                                                ELSE pg_relation_size(c.oid) / current_setting('block_size')::float8 / c.relpages END
                   END)::bigint AS rows,
       c.relkind IN ('r', 'p') AS has_rows
FROM unnest(%(tables)s::text[]) AS given (chosen)
JOIN pg_class c ON c.oid = given.chosen::regclass JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1;

-- name: copy_out_all
-- A table whole.
COPY (SELECT {columns} FROM {table}) TO STDOUT;

-- name: copy_out_sample
-- Whole pages chosen at random: only these are read, and rows that lie together stay together. The same pages every time.
COPY (SELECT {columns} FROM {table} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1) LIMIT {rows}) TO STDOUT;

-- name: copy_in
-- The other end of both.
COPY {table} ({columns}) FROM STDIN;

-- name: foreign_keys
-- What rows refer to, so that a sample can be completed; a table that refers to itself too.
SELECT format('%%I.%%I', cn.nspname, c.relname) AS child, format('%%I.%%I', pn.nspname, p.relname) AS parent,
       cn.nspname AS child_schema, c.relname AS child_relation, pn.nspname AS parent_schema, p.relname AS parent_relation,
       (SELECT array_agg(a.attname ORDER BY k.ord)
        FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, ord) JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum)
           AS child_columns,
       (SELECT array_agg(a.attname ORDER BY k.ord)
        FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, ord) JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum)
           AS parent_columns
FROM pg_constraint f
JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND format('%%I.%%I', cn.nspname, c.relname) = ANY(%(tables)s);

-- name: missing_keys
-- Keys that rows here refer to and that are not here: as text, which every type can be made from again. Bounded by the caller.
SELECT DISTINCT {keys} FROM {child} c
WHERE {present} AND NOT EXISTS (SELECT FROM {parent} p WHERE {equal})
LIMIT {rows};

-- name: copy_out_keys
-- The rows that others refer to.
COPY (SELECT {columns} FROM {table} WHERE ({keys}) IN ({values})) TO STDOUT;

-- name: sequences
-- Where each sequence stands: a copy that began at 1 again would collide with the rows copied.
SELECT format('%I.%I', schemaname, sequencename) AS name, last_value FROM pg_sequences WHERE last_value IS NOT NULL;

-- name: set_sequences
-- Those that are here, in one statement.
SELECT setval(to_regclass(given.name), given.value)
FROM unnest(%(names)s::text[], %(values)s::bigint[]) AS given (name, value)
WHERE to_regclass(given.name) IS NOT NULL;

-- name: analyze
-- Statistics and visible pages, as a table in use has them.
VACUUM (ANALYZE) {tables};

-- name: create_database
-- On a server that is there: its name says whose it is.
CREATE DATABASE {name};

-- name: copy_database
-- All pages as they are: what ran in another copy has left no trace in it.
CREATE DATABASE {name} TEMPLATE {template};

-- name: drop_database
-- With whoever is still connected.
DROP DATABASE IF EXISTS {name} WITH (FORCE);

-- name: create_role
-- It may not log in, and owns nothing.
CREATE ROLE {name} NOLOGIN;
