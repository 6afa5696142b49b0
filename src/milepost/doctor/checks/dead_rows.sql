-- name: rows
-- What the counters say is dead.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", pg_stat_get_dead_tuples(t.oid) AS dead, pg_stat_get_live_tuples(t.oid) AS rows,
       to_char(greatest(pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid)), 'YYYY-MM-DD HH24:MI') AS vacuumed,
       pg_table_size(t.oid) AS bytes
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_stat_get_dead_tuples(t.oid) >= %(dead_min)s
  AND pg_stat_get_dead_tuples(t.oid) >= %(part_min)s * (pg_stat_get_dead_tuples(t.oid) + pg_stat_get_live_tuples(t.oid))
ORDER BY dead DESC
LIMIT 200;
