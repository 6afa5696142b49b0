-- Rows go in through milepost.activity again.

DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'milepost.activity'::regclass LOOP
        EXECUTE format('REVOKE INSERT ON %s FROM milepost_service', partition);
    END LOOP;
END
$$;
