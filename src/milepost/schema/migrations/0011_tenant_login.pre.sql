-- Logins that are bound to one tenant.

-- Whose a login is. Neither the service nor a reader may see it.
CREATE TABLE milepost.tenant_login (
    tenant_id   integer NOT NULL,
    login       name NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, login)
);

-- The tenant of who has logged in: not of the role that it has taken since, nor of any setting, which it could choose itself.
CREATE FUNCTION milepost.tenant_of_login() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT tenant_id FROM milepost.tenant_login WHERE login = session_user $$;
REVOKE ALL ON FUNCTION milepost.tenant_of_login FROM PUBLIC;

-- Opens to readers what a tenant may read and was made since: entities, activities and what models derive from them. Not the
-- queue, dead letters, keys, or anything of the deployment's. Run by the owner, when a login is made and when a model is applied.
CREATE FUNCTION milepost.admit_readers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    opened name;
BEGIN
    IF to_regrole('milepost_reader') IS NULL OR NOT EXISTS (SELECT FROM milepost.tenant_login) THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA milepost TO milepost_reader;
    GRANT EXECUTE ON FUNCTION milepost.tenant_of_login TO milepost_reader;
    FOR opened IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'milepost'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relrowsecurity
            AND (c.relname IN ('actor', 'groups', 'group_span', 'group_reach', 'member', 'activity', 'activity_stream', 'follow')
                OR c.relname ~ '^(rollup|latest|pairs|given|done|board)_')
            AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
            AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'reader')
    LOOP
        -- The sub-select makes it one InitPlan, not one call a row.
        EXECUTE format('CREATE POLICY reader ON milepost.%I FOR SELECT TO milepost_reader'
                       ' USING (tenant_id = (SELECT milepost.tenant_of_login()))', opened);
        EXECUTE format('GRANT SELECT ON milepost.%I TO milepost_reader', opened);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION milepost.admit_readers FROM PUBLIC;
