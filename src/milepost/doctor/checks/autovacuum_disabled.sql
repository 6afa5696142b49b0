-- name: rows
-- The table's own option; its TOAST table's is another.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", pg_stat_get_tuples_updated(t.oid) + pg_stat_get_tuples_deleted(t.oid) AS writes,
       pg_stat_get_dead_tuples(t.oid) AS dead, pg_table_size(t.oid) AS bytes
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND 'autovacuum_enabled=false' = ANY (SELECT replace(replace(o, '=off', '=false'), '=0', '=false') FROM unnest(t.reloptions) o)
  AND pg_stat_get_tuples_updated(t.oid) + pg_stat_get_tuples_deleted(t.oid) >= %(writes_min)s
ORDER BY writes DESC
LIMIT 200;
