-- name: setting
-- What it is now, and what changing it takes; no row if PostgreSQL does not know it.
SELECT name, context, setting, pending_restart FROM pg_settings WHERE lower(name) = lower(%(name)s);

-- name: of_system
-- What ALTER SYSTEM wrote before; the last line of a name counts. Superusers and pg_read_all_settings see it.
SELECT setting FROM pg_file_settings
WHERE sourcefile LIKE '%%postgresql.auto.conf' AND name = %(name)s ORDER BY seqno DESC LIMIT 1;

-- name: of_database_or_role
-- What ALTER DATABASE or ALTER ROLE set before; for all databases, or all roles, the number is 0.
SELECT substr(pair, length(%(name)s) + 2)
FROM pg_db_role_setting s, unnest(s.setconfig) pair
WHERE s.setdatabase = coalesce((SELECT oid FROM pg_database WHERE %(in_database)s AND datname = current_database()), 0)
  AND s.setrole = coalesce((SELECT oid FROM pg_roles WHERE rolname = %(role)s), 0)
  AND split_part(pair, '=', 1) = %(name)s;

-- name: alter
-- One form for all scopes; ALTER SYSTEM can have no transaction.
ALTER {whose} {what};

-- name: anew
-- Of a session that has just begun: which value, and who said so. No source: PostgreSQL does not know the setting, it is an extension's that
-- is not loaded, or every session of ours says it.
SELECT session_user::text AS role, pg_conf_load_time() AS loaded_at, s.setting, s.context,
       CASE WHEN given.name NOT IN ('timezone', 'datestyle', 'application_name', 'client_encoding') THEN s.source END AS source
FROM (VALUES (lower(%(name)s))) given (name) LEFT JOIN pg_settings s ON lower(s.name) = given.name;

-- name: wrong_lines
-- One wrong line, and nothing of the files is loaded.
SELECT sourcefile, sourceline, error FROM pg_file_settings WHERE error IS NOT NULL ORDER BY seqno LIMIT 3;

-- name: reload
-- What needs no restart is in effect a moment later.
SELECT pg_reload_conf();
