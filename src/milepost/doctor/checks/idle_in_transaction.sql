-- name: rows
-- By user and application, so that the same fault is the same finding tomorrow.
SELECT usename || '@' || coalesce(nullif(application_name, ''), 'unnamed') AS who, count(*) AS sessions,
       max(extract(epoch FROM clock_timestamp() - state_change))::float8 AS idle_s,
       (array_agg(pid ORDER BY state_change))[1:10] AS pids, (array_agg(left(query, 500) ORDER BY state_change))[1] AS query
FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%%' AND pid <> pg_backend_pid()
  AND extract(epoch FROM clock_timestamp() - state_change) >= %(idle_s_min)s
GROUP BY 1
ORDER BY idle_s DESC
LIMIT 50;
