-- name: rows
-- Tables that are read whole, again and again. last rows a scan: a scan that LIMIT ended early has read little.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", pg_stat_get_numscans(t.oid) AS seq_scans,
       pg_stat_get_tuples_returned(t.oid) AS rows_read, pg_stat_get_live_tuples(t.oid) AS rows,
       pg_table_size(t.oid) AS bytes, pg_stat_get_tuples_returned(t.oid) / %(stats_age_s)s AS rows_per_s
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_stat_get_live_tuples(t.oid) >= %(rows_min)s
  AND pg_stat_get_numscans(t.oid) >= %(scans_min)s
  AND pg_stat_get_tuples_returned(t.oid) >= 0.5 * pg_stat_get_numscans(t.oid) * pg_stat_get_live_tuples(t.oid)
  AND pg_stat_get_tuples_returned(t.oid) >= %(rows_per_s_min)s * %(stats_age_s)s
ORDER BY rows_read DESC
LIMIT 50;
