-- name: explain_generic
-- No values are needed, nothing is run. Since PostgreSQL 16.
EXPLAIN (GENERIC_PLAN, VERBOSE, SETTINGS, FORMAT JSON) {statement};

-- name: explain
-- What the planner means to do.
EXPLAIN (VERBOSE, SETTINGS, FORMAT JSON) {statement};

-- name: explain_analyze
-- What was done, with the pages touched; per-trigger times come with it.
EXPLAIN (ANALYZE, BUFFERS, WAL, VERBOSE, SETTINGS, FORMAT JSON) {statement};

-- name: prepare
-- Types of parameters are the server's to find.
PREPARE milepost_explain AS {statement};

-- name: parameter_types
-- In their order.
SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'milepost_explain';

-- name: execute
-- With values as literals; the plan is made for them.
EXECUTE milepost_explain ({values});

-- name: statement_text
-- By the id that pg_stat_statements and the log give; the same text may be there for several users: the one called most.
SELECT query FROM {view} WHERE queryid = %(id)s AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY calls DESC LIMIT 1;

-- name: statements_view
-- The extension may lie in any schema.
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements';

-- name: common_value
-- The most common value of a column, else one from the middle of its histogram: what a typical call asks for. Names are as the
-- statement wrote them, so the search path finds the table. Only where the column's type is the parameter's, or one that is read from the
-- same text: in `at > now() - $1::interval` a value of `at` is none of the parameter. one_of: the parameter is an array of them.
SELECT COALESCE((s.most_common_vals::text::text[])[1],
                (s.histogram_bounds::text::text[])[(1 + array_length(s.histogram_bounds::text::text[], 1)) / 2]) AS value,
       whole.oid <> t.oid AND whole.oid <> element.oid AS one_of
FROM unnest(%(tables)s::text[]) WITH ORDINALITY AS given (name, place)
JOIN pg_class c ON c.oid = to_regclass(given.name)
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = %(column)s
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type whole ON whole.oid = to_regtype(%(type)s)
JOIN pg_type element ON element.oid = to_regtype(%(element)s)
WHERE t.oid IN (whole.oid, element.oid) OR (t.typcategory = element.typcategory AND t.typcategory IN ('D', 'N', 'S'))
ORDER BY given.place, s.inherited DESC LIMIT 1;

-- name: table_facts
-- What a cure needs to know of the tables in a plan.
SELECT format('%%I.%%I', n.nspname, c.relname) AS name, n.nspname || '.' || c.relname AS plain, GREATEST(c.reltuples, 0)::bigint AS rows,
       pg_table_size(c.oid) AS bytes,
       (SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, NULL))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT jsonb_agg(jsonb_build_object('name', format('%%I.%%I', n.nspname, i.relname), 'method', am.amname, 'valid', x.indisvalid,
            'columns', (SELECT jsonb_agg(pg_get_indexdef(x.indexrelid, k, true) ORDER BY k) FROM generate_series(1, x.indnkeyatts) k)))
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am am ON am.oid = i.relam WHERE x.indrelid = c.oid) AS indexes,
       s.n_mod_since_analyze AS modified, GREATEST(s.last_analyze, s.last_autoanalyze) IS NOT NULL AS analyzed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE n.nspname || '.' || c.relname = ANY(%(tables)s);
