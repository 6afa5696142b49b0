-- name: inventory
-- Every trigger that somebody made, with its function and how often its table is written; a partition's copies of its parent's are
-- left out. Bits of tgtype are PostgreSQL's (pg_trigger.h): 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate, 64 instead.
SELECT t.tgname AS name, format('%%I.%%I', n.nspname, c.relname) AS "table", n.nspname AS schema, c.relname AS relation,
       t.tgtype & 1 = 1 AS each_row,
       CASE WHEN t.tgtype & 64 <> 0 THEN 'instead of' WHEN t.tgtype & 2 <> 0 THEN 'before' ELSE 'after' END AS timing,
       array_remove(ARRAY[CASE WHEN t.tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN t.tgtype & 16 <> 0 THEN 'update' END,
                          CASE WHEN t.tgtype & 8 <> 0 THEN 'delete' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'truncate' END], NULL) AS events,
       (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr)) AS columns,
       t.tgqual IS NOT NULL AS has_when, t.tgenabled <> 'D' AS enabled, t.tgconstraint <> 0 AS is_constraint,
       t.tgnewtable IS NOT NULL OR t.tgoldtable IS NOT NULL AS has_transition,
       format('%%I.%%I', pn.nspname, p.proname) AS function, l.lanname AS language,
       CASE WHEN l.lanname IN ('plpgsql', 'sql') THEN pg_get_functiondef(p.oid) END AS function_definition,
       pg_get_triggerdef(t.oid) AS definition,
       COALESCE(s.n_tup_ins, 0) AS inserts, COALESCE(s.n_tup_upd, 0) AS updates, COALESCE(s.n_tup_del, 0) AS deletes,
       EXTRACT(epoch FROM now() - COALESCE((SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
                                           pg_postmaster_start_time()))::float8 AS counted_s
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 2, 1
LIMIT %(triggers)s;

-- name: columns
-- What a synthesized write needs to know of each column.
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, typ.typcategory AS category,
       a.atthasdef OR a.attidentity <> '' AS has_default, a.attidentity = 'a' AS always, a.attgenerated <> '' AS generated,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey)) AS is_unique,
       EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = a.attrelid AND f.contype = 'f' AND a.attnum = ANY (f.conkey)) AS is_foreign,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_key
FROM pg_attribute a JOIN pg_type typ ON typ.oid = a.atttypid
WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: statements_view
-- The extension may lie in any schema.
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements';

-- name: writes
-- What the applications themselves write, not what functions write in their turn; the busiest first.
SELECT query, calls, rows FROM {view}
WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query ~* '\m(insert|update|delete)\M'
ORDER BY calls DESC LIMIT 500;

-- name: present
-- Which of these are tables here, as names of them are written elsewhere.
SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname)
FROM unnest(%(names)s::text[]) AS given (name)
JOIN pg_class c ON c.oid = to_regclass(given.name) JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- name: insert_rows
-- Rows like those that are there, with fresh values where they must be unique.
INSERT INTO {table} ({columns}) SELECT {values} FROM (SELECT *, row_number() OVER () AS milepost_n FROM {table} LIMIT {rows}) AS r;

-- name: update_rows
-- Each row takes the values of another one, half of those read away, so that something really changes.
UPDATE {table} AS t SET {sets}
FROM (SELECT tableoid AS milepost_part, ctid AS milepost_at, row_number() OVER () AS milepost_n FROM {table} LIMIT {rows}) AS r
JOIN (SELECT *, (row_number() OVER () - 1 + {rows}) % count(*) OVER () + 1 AS milepost_n
      FROM (SELECT * FROM {table} LIMIT {twice}) AS d) AS donor USING (milepost_n)
WHERE t.ctid = r.milepost_at AND t.tableoid = r.milepost_part;

-- name: delete_rows
-- As many as asked for.
DELETE FROM {table} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {table} LIMIT {rows});

-- name: explain
-- Times of each trigger come with it.
EXPLAIN (ANALYZE, FORMAT JSON) {statement};

-- name: disable
-- Within a transaction that is rolled back, on a scratch copy alone: it locks out writers.
ALTER TABLE {table} DISABLE TRIGGER {name};

-- name: position
-- All WAL that was written so far; nobody else writes here.
SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn;

-- name: nested_calls
-- Statements that functions ran.
SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_statements WHERE NOT toplevel;

-- name: locks
-- What this transaction holds, besides its catalogue reads.
SELECT DISTINCT l.mode, l.relation::regclass::text
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_';

-- name: count_statements
-- On a scratch copy.
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
