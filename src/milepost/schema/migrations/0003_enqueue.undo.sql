-- Apps that enqueue in their own transactions get an error from now on. The role stays: other databases may use it.

DROP FUNCTION milepost.enqueue, milepost.enqueue_context;
DO $$
BEGIN
    IF to_regrole('milepost_app') IS NOT NULL THEN
        REVOKE USAGE ON SCHEMA milepost FROM milepost_app;
    END IF;
END
$$;
