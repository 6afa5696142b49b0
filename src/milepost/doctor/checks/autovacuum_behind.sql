-- name: rows
-- A table's own threshold, from its options or the server's. Only tables that autovacuum may look after.
WITH due AS (
    SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS name, pg_stat_get_dead_tuples(t.oid) AS dead,
           extract(epoch FROM now() - coalesce(greatest(pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid)),
                                               now() - make_interval(secs => %(stats_age_s)s)))::float8 AS waiting_s,
           coalesce((SELECT split_part(o, '=', 2)::float8 FROM unnest(t.reloptions) o WHERE o LIKE 'autovacuum_vacuum_threshold=%%'),
                    current_setting('autovacuum_vacuum_threshold')::float8)
           + coalesce((SELECT split_part(o, '=', 2)::float8 FROM unnest(t.reloptions) o WHERE o LIKE 'autovacuum_vacuum_scale_factor=%%'),
                      current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(t.reltuples, 0) AS threshold
    FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT 'autovacuum_enabled=false' = ANY (coalesce(t.reloptions, '{}'))
      AND pg_stat_get_dead_tuples(t.oid) >= %(dead_min)s
)
SELECT count(*) AS overdue, max(waiting_s) AS waiting_s, (array_agg(name ORDER BY dead DESC))[1:5] AS tables,
       current_setting('autovacuum_max_workers')::int AS workers,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker') AS running,
       CASE WHEN current_setting('autovacuum_vacuum_cost_limit')::int = -1 THEN current_setting('vacuum_cost_limit')::int
            ELSE current_setting('autovacuum_vacuum_cost_limit')::int END AS cost_limit
FROM due
WHERE dead >= 2 * threshold AND waiting_s >= %(waiting_s_min)s
HAVING count(*) >= %(tables_min)s;
