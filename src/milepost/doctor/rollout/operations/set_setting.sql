-- name: setting
-- What it is now, and what changing it takes; no row if PostgreSQL does not know it.
SELECT name, context, setting, pending_restart FROM pg_settings WHERE name = lower(%(name)s);

-- name: of_system
-- What ALTER SYSTEM wrote before; the last line of a name counts. Superusers and pg_read_all_settings see it.
SELECT setting FROM pg_file_settings
WHERE sourcefile LIKE '%%postgresql.auto.conf' AND name = %(name)s ORDER BY seqno DESC LIMIT 1;

-- name: of_database_or_role
-- What ALTER DATABASE or ALTER ROLE set before.
SELECT substr(pair, length(%(name)s) + 2)
FROM pg_db_role_setting s, unnest(s.setconfig) pair
WHERE s.setdatabase = coalesce((SELECT oid FROM pg_database WHERE %(scope)s = 'database' AND datname = current_database()), 0)
  AND s.setrole = coalesce((SELECT oid FROM pg_roles WHERE %(scope)s = 'role' AND rolname = %(role)s), 0)
  AND split_part(pair, '=', 1) = %(name)s;

-- name: alter
-- One form for the three scopes; ALTER SYSTEM can have no transaction.
ALTER {whose} {what};

-- name: reload
-- What needs no restart is in effect a moment later.
SELECT pg_reload_conf();
