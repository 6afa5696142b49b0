-- name: sizes
-- What the planner takes from files and pg_class: pages as they are now, rows by the density of the last vacuum or analyze (as the
-- planner itself does), and how much of a table needs no visit of its rows.
SELECT c.oid::regclass::text AS relation, c.relkind::text AS kind, now.pages,
       CASE WHEN c.reltuples < 0 THEN -1
            WHEN c.relpages = 0 THEN c.reltuples
            ELSE c.reltuples * now.pages / c.relpages END::float8 AS rows,
       least(c.relallvisible, now.pages)::int AS visible
FROM pg_class c
CROSS JOIN LATERAL (
  SELECT (pg_relation_size(c.oid) / current_setting('block_size')::int)::int AS pages
) now
WHERE c.relkind IN ('r', 'm', 'i')
  AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema') OR nspname ~ '^pg_t');

-- name: settings
-- What the planner is told on the target: without these, another plan would be the best one here.
SELECT name, setting
FROM pg_settings
WHERE (category LIKE 'Query Tuning%' OR name IN ('work_mem', 'hash_mem_multiplier', 'max_parallel_workers_per_gather',
       'max_parallel_workers', 'effective_io_concurrency', 'search_path', 'datestyle', 'intervalstyle', 'timezone'))
  AND name NOT IN ('geqo_seed', 'debug_parallel_query')
  AND context IN ('user', 'superuser');

-- name: set
-- All of them in one statement; a name that this version does not have is left out.
SELECT set_config(name, value, false)
FROM jsonb_each_text(%s) AS given(name, value)
WHERE EXISTS (SELECT 1 FROM pg_settings s WHERE s.name = given.name);

-- name: files
-- Where each relation lies, to give its file the size that it has on the target.
SELECT c.oid::regclass::text AS relation, pg_relation_filepath(c.oid) AS file, c.oid::bigint AS number
FROM pg_class c
WHERE c.oid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS given(name));

-- name: leaves
-- The tables that hold the rows of these: each itself, or the leaves of a partitioned one.
SELECT coalesce(leaf.relid, c.oid)::regclass::text AS relation
FROM unnest(%s::text[]) AS given(name)
JOIN pg_class c ON c.oid = to_regclass(given.name)
LEFT JOIN LATERAL pg_partition_tree(c.oid) leaf ON c.relkind = 'p'
WHERE coalesce(leaf.isleaf, true);

-- name: parts
-- What an index that was made consists of: itself, or the indexes of the leaves of its partitioned table; and on which table each is.
SELECT given.name, i.indexrelid::regclass::text AS part, i.indrelid::regclass::text AS leaf
FROM unnest(%s::text[]) AS given(name)
JOIN pg_class c ON c.oid = to_regclass(given.name)
LEFT JOIN LATERAL pg_partition_tree(c.oid) leaf ON c.relkind = 'I'
JOIN pg_index i ON i.indexrelid = coalesce(leaf.relid, c.oid)
WHERE coalesce(leaf.isleaf, true);

-- name: count
-- The planner's rows and pages of each relation. By hand, since a build in an empty table has just counted none.
UPDATE pg_class c SET relpages = given.pages, reltuples = given.rows, relallvisible = coalesce(given.visible, 0)
FROM jsonb_to_recordset(%s) AS given(relation text, pages int, rows float4, visible int)
WHERE c.oid = to_regclass(given.relation);

-- name: show
-- Which indexes the planner may use: an invalid one is not looked at. Only those that change are named.
UPDATE pg_index SET indisvalid = indexrelid = ANY (%(shown)s::oid[]) WHERE indexrelid = ANY (%(changed)s::oid[]);

-- name: data_directory
-- The files' folder.
SELECT current_setting('data_directory') AS folder;

-- name: forget
-- Candidates that no plan used: each that is there has to be opened whenever its table is planned.
DROP INDEX {names};

-- name: describe
-- What is known of the column that an expression is made from is the best guess of the expression: without it, a two-hundredth of the
-- rows would be expected for any value.
SELECT pg_restore_attribute_stats('schemaname', n.nspname::text, 'relname', x.relname::text, 'attnum', a.attnum, 'inherited', false,
         'null_frac', given.null_frac::real, 'avg_width', given.width, 'n_distinct', given.n_distinct::real)
FROM jsonb_to_recordset(%s) AS given(relation text, key int, null_frac float8, width int, n_distinct float8)
JOIN pg_class x ON x.oid = to_regclass(given.relation)
JOIN pg_namespace n ON n.oid = x.relnamespace
JOIN pg_attribute a ON a.attrelid = x.oid AND a.attnum = given.key;
