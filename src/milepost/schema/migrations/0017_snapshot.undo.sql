-- Snapshots are forgotten, and logins of tenants read what they did before.

CREATE OR REPLACE FUNCTION milepost.admit_readers() RETURNS void
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

DROP TABLE milepost.snapshot_place, milepost.snapshot;
DO $$
DECLARE
    closed name;
BEGIN
    FOREACH closed IN ARRAY ARRAY['invitation', 'read_marker', 'search_document', 'search_progress'] LOOP
        EXECUTE format('DROP POLICY IF EXISTS reader ON milepost.%I', closed);
        IF to_regrole('milepost_reader') IS NOT NULL THEN
            EXECUTE format('REVOKE SELECT ON milepost.%I FROM milepost_reader', closed);
        END IF;
    END LOOP;
END
$$;
