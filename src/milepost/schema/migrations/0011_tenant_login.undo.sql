-- Logins of tenants see nothing from now on: their policies go with the function that says whose they are. The roles stay, without
-- rights here; other databases may use milepost_reader.

DO $$
BEGIN
    IF to_regrole('milepost_reader') IS NOT NULL THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA milepost FROM milepost_reader;
        REVOKE ALL ON SCHEMA milepost FROM milepost_reader;
    END IF;
END
$$;
DROP FUNCTION milepost.admit_readers;
DROP FUNCTION milepost.tenant_of_login CASCADE;
DROP TABLE milepost.tenant_login;
