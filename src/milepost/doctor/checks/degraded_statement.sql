-- name: rows
-- Compared with an earlier look, which history keeps; counters that were reset since begin anew there.
SELECT s.queryid::text AS id, sum(s.calls)::bigint AS calls, sum(s.total_exec_time) AS total_ms,
       left(regexp_replace(min(s.query), '[[:space:]]+', ' ', 'g'), 300) AS query
FROM pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.queryid IS NOT NULL
GROUP BY s.queryid
ORDER BY sum(s.total_exec_time) DESC
LIMIT 1000;
