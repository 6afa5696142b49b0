-- name: at_work
-- What clients are at in this database at this moment, the doctor's own sessions aside. Housekeeping (COPY, VACUUM, index builds) takes its time
-- by right. The statistics are of the moment, since each look is a transaction of its own.
SELECT a.pid, a.query_start, a.query AS sql, extract(epoch FROM clock_timestamp() - a.query_start)::float8 * 1000 AS ms, a.wait_event_type AS waits
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.state = 'active' AND a.pid <> pg_backend_pid()
  AND a.application_name NOT LIKE 'milepost/doctor%'
  AND a.query ~* '^([[:space:]]|--[^\n]*\n|/[*].*?[*]/)*(select|insert|update|delete|merge|with|values)\y';
