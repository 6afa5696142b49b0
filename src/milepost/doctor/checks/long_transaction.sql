-- name: rows
-- Not those that idle or wait for a lock, which are other findings; nor vacuum and concurrent builds, which hold nobody's rows.
SELECT usename || '@' || coalesce(nullif(application_name, ''), 'unnamed') AS who, count(*) AS sessions,
       max(extract(epoch FROM clock_timestamp() - xact_start))::float8 AS open_s,
       (array_agg(pid ORDER BY xact_start))[1:10] AS pids, (array_agg(left(query, 500) ORDER BY xact_start))[1] AS query
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_backend_pid()
  AND extract(epoch FROM clock_timestamp() - xact_start) >= %(open_s_min)s
  AND query !~* '^[[:space:]]*(vacuum|create (unique )?index concurrently|reindex)'
GROUP BY 1
ORDER BY open_s DESC
LIMIT 50;
