-- name: rows
-- Index builds and refreshes sort by right.
SELECT s.queryid::text AS id, sum(s.calls)::bigint AS calls, sum(s.total_exec_time) / sum(s.calls) AS mean_ms,
       sum(s.temp_blks_written) * %(block_bytes)s / sum(s.calls) AS bytes_per_call,
       left(regexp_replace(min(s.query), '[[:space:]]+', ' ', 'g'), 300) AS query
FROM pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.queryid IS NOT NULL AND s.query ~* '^([[:space:]]|--[^\n]*\n|/[*].*?[*]/)*(select|insert|update|delete|merge|with|values)\y' AND s.query !~ '^/[*] checks/'
GROUP BY s.queryid
HAVING sum(s.calls) >= %(calls_min)s AND sum(s.temp_blks_written) * %(block_bytes)s >= %(bytes_per_call_min)s * sum(s.calls)
ORDER BY sum(s.temp_blks_written) DESC
LIMIT 20;
