-- name: one_snapshot
-- All checks see the catalogue at one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: one_copy
-- All checks see the counters at one moment, too. JIT would take longer than these queries.
SELECT set_config('stats_fetch_consistency', 'snapshot', true), set_config('jit', 'off', true);

-- name: facts
-- What rates are counted over. A database whose counters were never reset has none of its own time; the cluster's hold then, or its age.
SELECT now() AS now,
       greatest(1, extract(epoch FROM now() - coalesce(
           (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
           (SELECT stats_reset FROM pg_stat_wal))))::float8 AS stats_age_s,
       greatest(1, extract(epoch FROM now() - (SELECT stats_reset FROM pg_stat_wal)))::float8 AS cluster_stats_age_s,
       extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS up_s,
       current_setting('block_size')::int AS block_bytes,
       -- Where a setting is set that counts more than the server's files do, as this session sees it.
       (SELECT coalesce(jsonb_object_agg(name, source), '{}') FROM pg_settings
        WHERE source IN ('command line', 'global', 'database', 'user', 'database user', 'client')) AS held,
       session_user::text AS role, quote_ident(session_user) AS role_quoted, quote_ident(current_database()) AS database_quoted,
       pg_database_size(current_database()) AS database_bytes,
       (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace <> 'pg_catalog'::regnamespace) AS tables,
       (SELECT count(*) FROM pg_class WHERE relkind = 'i' AND relnamespace <> 'pg_catalog'::regnamespace) AS indexes;

-- name: may_ask_age
-- Asked first: PostgreSQL refuses a whole query for a function in it that it would never have called.
SELECT has_function_privilege('pg_stat_file(text, boolean)', 'EXECUTE') AS may;

-- name: age
-- The catalogue does not say when a database was made; this file of it is written then, and never again. None in another tablespace.
SELECT extract(epoch FROM now() - (pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification)::float8 AS age_s
FROM pg_database WHERE datname = current_database();

-- name: statements
-- What the next look compares with: the costliest only, so that it stays small.
SELECT jsonb_object_agg(queryid::text, jsonb_build_object('calls', calls, 'total_ms', total_ms)) AS statements
FROM (
    SELECT queryid, sum(calls) AS calls, sum(total_exec_time) AS total_ms
    FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NOT NULL
    GROUP BY queryid
    ORDER BY sum(total_exec_time) DESC
    LIMIT 1000
) costliest;
