-- A lane's COPY goes straight into partitions, since it refuses a table with policies. Reading and changing rows stays as it is.

DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'milepost.activity'::regclass LOOP
        EXECUTE format('GRANT INSERT ON %s TO milepost_service', partition);
    END LOOP;
END
$$;
