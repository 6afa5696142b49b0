-- name: rows
-- The statement has the view's name as it was written; as the catalogue finds it, if it does.
WITH refreshes AS (
    SELECT m.parts[1] IS NOT NULL AS online, to_regclass(m.parts[2]) AS view, s.calls, s.total_exec_time, s.max_exec_time
    FROM pg_stat_statements s
    CROSS JOIN LATERAL regexp_match(s.query, 'refresh\s+materialized\s+view\s+(concurrently\s+)?("[^"]+"[.]"[^"]+"|[^\s;]+)', 'i') m(parts)
    WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND s.query ~* '^[[:space:]]*refresh'
), summed AS (
    SELECT view, online, sum(calls) AS calls, sum(total_exec_time) / sum(calls) AS mean_ms, max(max_exec_time) AS slowest_ms
    FROM refreshes WHERE view IS NOT NULL
    GROUP BY view, online
)
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS view, s.online, s.calls::bigint AS calls, s.mean_ms, s.slowest_ms,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)
           AS "unique"
FROM summed s
JOIN pg_class t ON t.oid = s.view AND t.relkind = 'm'
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE s.calls >= %(calls_min)s
  AND (s.mean_ms >= %(long_ms_min)s OR NOT s.online AND s.mean_ms >= %(blocking_ms_min)s)
ORDER BY s.mean_ms DESC
LIMIT 50;
