-- name: facts
-- What every check and plan depends on, in one round trip. pg_monitor sees everyone's statements and sessions.
SELECT current_setting('server_version_num')::int AS version,
       current_database() AS dbname,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       pg_has_role(current_user, 'pg_monitor', 'MEMBER') AS monitor,
       (SELECT jsonb_object_agg(extname, extversion) FROM pg_extension) AS extensions,
       (SELECT array_agg(name ORDER BY name) FROM pg_available_extensions) AS available,
       pg_is_in_recovery() AS standby;
