-- What migrate, status and require ask and write beside the migrations themselves.

-- name: server
-- The server and whether this login may do what the first migration needs.
SELECT current_setting('server_version_num')::integer, current_user::text, current_database()::text,
       has_database_privilege(current_database(), 'CREATE'),
       (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user);

-- name: service_role
-- Whether the role is there, whether this login may take it, and whether it may make temp tables here. Since PostgreSQL 16
-- who makes a role may grant it but not take it. A superuser may take every role; it is granted all the same, so that the
-- login can go on when it is made an ordinary one.
SELECT r.oid IS NOT NULL,
       COALESCE(
           pg_has_role(me.oid, r.oid, CASE WHEN current_setting('server_version_num')::integer < 160000
                                           THEN 'MEMBER' ELSE 'SET' END)
           AND (NOT me.rolsuper
                OR EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND m.member = me.oid)), false),
       COALESCE(has_database_privilege(r.oid, current_database(), 'TEMPORARY'), false)
FROM pg_roles me
LEFT JOIN pg_roles r ON r.rolname = %(role)s
WHERE me.rolname = current_user;

-- name: make_service_role
-- A role without login: connections take it at their start. Another database's migration may make it at the same moment.
DO $$
BEGIN
    CREATE ROLE milepost_service NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- name: grant_service_role
-- So that this login can open connections as the service.
GRANT milepost_service TO CURRENT_USER;

-- name: grant_temp
-- The loader's stage is a temp table. By default everyone may make them; where that was taken away, the service still must.
DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO milepost_service', current_database());
END
$$;

-- name: is_there
-- Whether a first migration was ever applied here.
SELECT to_regclass('milepost.migration') IS NOT NULL;

-- name: applied
-- The steps that were taken.
SELECT version, phase FROM milepost.migration ORDER BY version, phase DESC;

-- name: version
-- What this database is, and which code may run on it. No row: its first migration did not come to its end.
SELECT version, oldest_code FROM milepost.deployment;

-- name: record
-- One step, in the transaction that takes it.
INSERT INTO milepost.migration (version, phase, name) VALUES (%(version)s, %(phase)s, %(name)s);

-- name: unrecord
-- An undone migration was never applied.
DELETE FROM milepost.migration WHERE version = %(version)s;

-- name: settle
-- The version moves when all its steps are taken. A new database also gets its secret and the name of its cluster.
INSERT INTO milepost.deployment (version, oldest_code, secret, system_identifier)
SELECT %(version)s, 1, %(secret)s, system_identifier FROM pg_control_system()
ON CONFLICT (only_one) DO UPDATE SET version = excluded.version
WHERE deployment.version <> excluded.version;

-- name: refuse_older_code
-- A post step takes away what older code needs.
UPDATE milepost.deployment SET oldest_code = GREATEST(oldest_code, %(version)s);

-- name: make_queue
-- Three tables to begin with: one that is written, one that is being loaded, one that waits to be truncated. Not vacuumed,
-- as those that rotation adds: there are no dead rows. LIKE copies everything but the grants.
DO $$
BEGIN
    IF EXISTS (SELECT FROM milepost.queue) THEN
        RETURN;
    END IF;
    FOR number IN 1..3 LOOP
        EXECUTE format('CREATE TABLE milepost.queue_%s (LIKE milepost.queue_template INCLUDING ALL)'
                       ' WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false)', number);
        EXECUTE format('CREATE TABLE milepost.queue_%s_loaded (LIKE milepost.queue_template_loaded INCLUDING ALL)'
                       ' WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false)', number);
        EXECUTE format('GRANT SELECT, INSERT ON milepost.queue_%s, milepost.queue_%s_loaded TO milepost_service',
                       number, number);
    END LOOP;
    INSERT INTO milepost.queue (current, tables) VALUES (1, 3);
END
$$;

-- name: lanes
-- How many there are: they are numbered from 0, without gaps.
SELECT count(*) FROM milepost.lane;

-- name: make_lanes
-- A lane is never taken away: tenants are bound to theirs.
INSERT INTO milepost.lane (lane) SELECT generate_series(0, %(lanes)s - 1) ON CONFLICT (lane) DO NOTHING;
