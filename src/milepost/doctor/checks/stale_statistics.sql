-- name: rows
-- Rows changed since the last ANALYZE, whoever ran it, or since the counters began.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", pg_stat_get_mod_since_analyze(t.oid) AS changed, pg_stat_get_live_tuples(t.oid) AS rows,
       to_char(greatest(pg_stat_get_last_analyze_time(t.oid), pg_stat_get_last_autoanalyze_time(t.oid)), 'YYYY-MM-DD HH24:MI') AS analyzed
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND t.relpersistence <> 't'
  AND pg_stat_get_mod_since_analyze(t.oid) >= %(changed_min)s
  AND pg_stat_get_mod_since_analyze(t.oid) >= %(part_min)s * pg_stat_get_live_tuples(t.oid)
  AND coalesce(extract(epoch FROM now() - greatest(pg_stat_get_last_analyze_time(t.oid), pg_stat_get_last_autoanalyze_time(t.oid))),
               %(stats_age_s)s) >= %(waiting_s_min)s
ORDER BY changed DESC
LIMIT 200;
