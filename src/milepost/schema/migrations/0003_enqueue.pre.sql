-- Enqueueing inside an app's own transaction.

-- What an app on this database may do, and nothing else: enqueue activities in its own transaction (milepost.intake.within). It owns
-- and reads no table; both functions run as the owner, with a search_path of their own, and `payload` is looked at by the loader,
-- which takes it for nothing but rows of one tenant's activities.
DO $$
BEGIN
    -- Where this login may not make roles, an administrator does, or grants the functions themselves (docs/client.md).
    IF to_regrole('milepost_app') IS NULL
        AND (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user)
    THEN
        CREATE ROLE milepost_app NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration made it at the same moment
END
$$;

-- The number of a tenant (none: no row), and the current model, with its text only where it is another than the one known.
CREATE FUNCTION milepost.enqueue_context(
    tenant text, known_version integer, known_fingerprint text,
    OUT tenant_id integer, OUT version integer, OUT fingerprint text, OUT toml text
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.tenant_id, m.version, m.fingerprint,
        CASE WHEN (m.version, m.fingerprint) IS DISTINCT FROM (known_version, known_fingerprint) THEN m.toml END
    FROM milepost.tenant AS t
    LEFT JOIN (SELECT * FROM milepost.model_version ORDER BY version DESC LIMIT 1) AS m ON true
    WHERE t.name = enqueue_context.tenant
$$;

-- One batch of activities into the table that is being written. The caller's transaction is the batch's: its number is how
-- loaders find it, however long it takes, and its lock on the table keeps that from being truncated meanwhile. Nobody is
-- notified: a NOTIFY would make all commits of the app wait for one another, and loaders poll.
CREATE FUNCTION milepost.enqueue(tenant text, model integer, rows integer, payload bytea) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place milepost.tenant;
    batch bigint;
BEGIN
    SELECT * INTO place FROM milepost.tenant AS t WHERE t.name = enqueue.tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no tenant %', quote_nullable(enqueue.tenant) USING ERRCODE = 'no_data_found';
    END IF;
    IF NOT EXISTS (SELECT FROM milepost.model_version AS m WHERE m.version = enqueue.model) THEN
        RAISE EXCEPTION 'there is no model of version %', enqueue.model USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF enqueue.rows IS NULL OR enqueue.rows NOT BETWEEN 1 AND 10000
        OR enqueue.payload IS NULL OR octet_length(enqueue.payload) > 64 * 1024 * 1024
    THEN
        RAISE EXCEPTION 'a batch has 1 to 10000 rows, and at most 64 MiB' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format(
        'INSERT INTO milepost.%I (lane, tenant_id, kind, model, rows, payload) VALUES ($1, $2, 0, $3, $4, $5) RETURNING batch_id',
        'queue_' || (SELECT current FROM milepost.queue)
    ) INTO STRICT batch USING place.lane, place.tenant_id, enqueue.model, enqueue.rows, enqueue.payload;
    RETURN batch;
END
$$;

REVOKE ALL ON FUNCTION milepost.enqueue_context, milepost.enqueue FROM PUBLIC;
DO $$
BEGIN
    IF to_regrole('milepost_app') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA milepost TO milepost_app;
        GRANT EXECUTE ON FUNCTION milepost.enqueue_context, milepost.enqueue TO milepost_app;
    END IF;
END
$$;
