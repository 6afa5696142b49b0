-- name: rows
-- All databases share them; those kept for superusers are nobody's.
SELECT count(*) AS used, count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state = 'idle') AS idle,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most
FROM pg_stat_activity
WHERE backend_type = 'client backend'
HAVING count(*) >= %(part_min)s * (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int)
   AND count(*) >= %(used_min)s;
