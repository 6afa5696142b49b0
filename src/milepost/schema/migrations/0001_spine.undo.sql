-- Back to a database without milepost. Refused where there are tenants: then it is data that would go, not a migration.
-- (The role stays: other databases of the cluster may use it.)

DO $$
BEGIN
    IF EXISTS (SELECT FROM milepost.tenant) THEN
        RAISE EXCEPTION 'milepost holds data of tenants here'
            USING ERRCODE = 'object_in_use', HINT = 'To lose them on purpose: DROP SCHEMA milepost CASCADE;';
    END IF;
END
$$;
DROP SCHEMA milepost CASCADE;
