-- name: rows
-- By statement, over all users. Housekeeping (COPY, VACUUM, index builds) takes its time by right, and the doctor's own do not count.
WITH counted AS (
    SELECT s.queryid, sum(s.calls) AS calls, sum(s.total_exec_time) AS total_ms, sum(s.rows) AS rows,
           sum(s.shared_blks_read)::float8 / greatest(1, sum(s.shared_blks_read + s.shared_blks_hit)) AS read_part, min(s.query) AS query
    FROM pg_stat_statements s
    WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND s.queryid IS NOT NULL AND s.query ~* '^([[:space:]]|--[^\n]*\n|/[*].*?[*]/)*(select|insert|update|delete|merge|with|values)\y' AND s.query !~ '^/[*] checks/'
    GROUP BY s.queryid
), known AS (
    SELECT greatest(60, extract(epoch FROM now() - stats_reset)) AS age_s, (SELECT sum(total_ms) FROM counted) AS all_ms
    FROM pg_stat_statements_info
)
SELECT c.queryid::text AS id, c.calls::bigint AS calls, c.total_ms / c.calls AS mean_ms, (c.calls * 60 / k.age_s)::float8 AS per_min,
       c.total_ms / k.all_ms AS part, c.rows::float8 / c.calls AS rows_per_call, c.read_part,
       left(regexp_replace(c.query, '[[:space:]]+', ' ', 'g'), 300) AS query
FROM counted c, known k
WHERE c.total_ms / c.calls >= %(mean_ms_min)s AND c.calls >= %(calls_min)s AND c.total_ms >= %(total_ms_min)s
  AND {often}
ORDER BY c.total_ms DESC
LIMIT 20;

-- name: often
-- What is asked at least so often.
c.calls * 60 / k.age_s >= %(per_min)s

-- name: seldom
-- What is asked less often.
c.calls * 60 / k.age_s < %(per_min)s
