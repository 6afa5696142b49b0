-- Logins of tenants, made by the owner of the tables, who must be allowed to make roles.

-- name: may_make_roles
-- Whether this login may make roles, and the database it is in.
SELECT rolcreaterole OR rolsuper, current_database()::text FROM pg_roles WHERE rolname = current_user;

-- name: make_reader_role
-- The role that all of them are in, without a login of its own. Another database may make it at the same moment.
DO $$
BEGIN
    IF to_regrole('milepost_reader') IS NULL THEN
        CREATE ROLE milepost_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- name: is_login
-- Whether there is such a role at all, and whose login it is here.
SELECT to_regrole(quote_ident(%(login)s)) IS NOT NULL,
       (SELECT tenant_id FROM milepost.tenant_login WHERE login = %(login)s::name);

-- name: make
-- format() quotes, since DDL takes no parameters. The password is a verifier already: no log ever has it. A reader may undo the settings;
-- they keep it from holding up others by mistake.
SELECT format('CREATE ROLE %%I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT CONNECTION LIMIT 8'
              ' PASSWORD %%L IN ROLE milepost_reader', %(login)s::text, %(verifier)s::text),
       format('ALTER ROLE %%I SET search_path = milepost', %(login)s::text),
       format('ALTER ROLE %%I SET default_transaction_read_only = on', %(login)s::text),
       format('ALTER ROLE %%I SET statement_timeout = ''60s''', %(login)s::text);

-- name: change_password
-- A new password; sessions that are open go on.
SELECT format('ALTER ROLE %%I PASSWORD %%L', %(login)s::text, %(verifier)s::text);

-- name: drop
-- The role goes with its rights; sessions that are open are ended by nobody, and see nothing from their next statement on.
SELECT format('DROP ROLE %%I', %(login)s::text);

-- name: record
-- From here on the login is the tenant's.
INSERT INTO milepost.tenant_login (tenant_id, login) VALUES (%(tenant_id)s, %(login)s);

-- name: forget
-- And here it no longer is.
DELETE FROM milepost.tenant_login WHERE tenant_id = %(tenant_id)s AND login = %(login)s RETURNING login;

-- name: admit
-- What a tenant may read is open to its logins.
SELECT milepost.admit_readers();
