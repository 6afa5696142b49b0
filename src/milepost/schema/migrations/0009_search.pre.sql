-- Full-text search over what a model declares.

-- What is searched of an activity: one row for each whose text has words (milepost.search). Written by the indexer alone, which follows
-- the journal; `version` is the activity's as it was read, and an activity of another version is not found by it.
-- It is not partitioned: what is old goes by the rules of each verb, not month by month, and search_keys keep what is near in time
-- together in the index anyway.
CREATE TABLE milepost.search_document (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,
    version     integer NOT NULL,
    words       tsvector NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- How far a tenant's search index is. No row: nothing is indexed, and nothing of its journal is kept for that.
CREATE TABLE milepost.search_progress (
    tenant_id   integer PRIMARY KEY,
    position    bigint NOT NULL,                 -- of the journal: what it names up to here is indexed
    fingerprint text NOT NULL,                   -- of what the model searches: documents of another one are made anew
    filled_to   uuid NOT NULL                    -- activities with this id or a larger one are indexed; history is filled from the newest back
);

-- The 18.6 hours (2^26 ms) that an id lies in: the unit in which the index is read, from the newest back.
CREATE FUNCTION milepost.search_bucket(id uuid) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || left(id::text, 6))::bit(24)::integer >> 2;

-- The smallest id in it.
CREATE FUNCTION milepost.search_bucket_start(bucket integer) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rpad(lpad(to_hex(bucket << 2), 6, '0'), 32, '0')::uuid;

-- The words as the index has them: each under its tenant and bucket, so that looking one up reads what one tenant wrote in one span
-- of time, and no more. Lexemes have at most 2,046 bytes with what is put before them; no query is as long.
CREATE FUNCTION milepost.search_keys(tenant_id integer, id uuid, words tsvector) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(ARRAY(
    SELECT tenant_id || '/' || to_hex(milepost.search_bucket(id)) || '/' || word
    FROM unnest(tsvector_to_array(words)) AS word WHERE octet_length(word) <= 2000
));

-- New keys are gathered and written in their order; the indexer does it after each step, so that no search has to read what was gathered.
CREATE INDEX search_document_keys ON milepost.search_document USING gin (milepost.search_keys(tenant_id, id, words))
    WITH (fastupdate = on);

-- ── Search ─────────────────────────────────────────────────────────────────────────────────────────────────────────
-- Under a policy `@@` cannot use an index, since it is not known to leak nothing. So these run as the owner, from whom no policy hides
-- a row; they ask for the transaction's tenant, exactly as the policies do, and without one they find nothing. They read words only:
-- whether an activity is still as it was, and who may see it, its own row says.

-- The matches within a few buckets, newest first. The conditions beside the keys are written so that no other index serves them: a
-- range of the primary key looks selective, and reads every document in it. What is switched on here is off in the function around it.
CREATE FUNCTION milepost.search_window(
    tenant integer, keys tsquery, query tsquery, low uuid, high uuid, most integer
) RETURNS TABLE (id uuid, version integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_bitmapscan = on SET enable_sort = on
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT d.id, d.version FROM milepost.search_document AS d
    WHERE milepost.search_keys(d.tenant_id, d.id, d.words) @@ keys AND d.words @@ query
        AND (d.tenant_id = tenant) IS TRUE AND (d.id >= low) IS TRUE AND (d.id < high) IS TRUE
    ORDER BY d.id DESC LIMIT most;
END
$$;

-- The newest `most` documents from `low` on, below `high`, that match, newest first. First the newest `walked` documents are looked at
-- one by one: a frequent word is among them, and reading all that the index has of it would be the wrong way. Then bucket by bucket,
-- in windows that widen while little is found. `pieces` are the query's positive part as text, cut where tenant and bucket are to be
-- put; NULL where it has none. After `patience_ms` it stops: a last row without a version says below which id nothing was looked at.
CREATE FUNCTION milepost.search_matches(
    query tsquery, pieces text[], low uuid, high uuid, most integer, walked integer, patience_ms integer
) RETURNS TABLE (id uuid, version integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    tenant integer := NULLIF(current_setting('milepost.tenant', true), '')::integer;
    until timestamptz := clock_timestamp() + patience_ms * interval '1 millisecond';
    wanted integer := most;
    upper_id uuid := high;  -- all matches from here on are found
    found_now integer;
    top uuid;
    wide integer := 1;
    first_bucket integer;
    keys tsquery;
    lower_id uuid;
BEGIN
    IF walked > 0 THEN
        RETURN QUERY
        SELECT n.id, n.version FROM (
            SELECT d.id, d.version, d.words FROM milepost.search_document AS d
            WHERE d.tenant_id = tenant AND d.id >= low AND d.id < high ORDER BY d.id DESC LIMIT walked
        ) AS n WHERE n.words @@ query LIMIT most;
        GET DIAGNOSTICS found_now = ROW_COUNT;
        wanted := wanted - found_now;
        IF wanted <= 0 THEN
            RETURN;
        END IF;
        SELECT d.id INTO upper_id FROM milepost.search_document AS d
        WHERE d.tenant_id = tenant AND d.id >= low AND d.id < high ORDER BY d.id DESC OFFSET walked - 1 LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    LOOP
        -- The next document there is, so that spans without any cost nothing.
        SELECT d.id INTO top FROM milepost.search_document AS d
        WHERE d.tenant_id = tenant AND d.id >= low AND d.id < upper_id ORDER BY d.id DESC LIMIT 1;
        EXIT WHEN NOT FOUND;
        IF pieces IS NULL OR clock_timestamp() > until THEN
            RETURN QUERY SELECT upper_id, NULL::integer;
            EXIT;
        END IF;
        first_bucket := greatest(milepost.search_bucket(top) - wide + 1, milepost.search_bucket(low));
        SELECT string_agg('(' || array_to_string(pieces, tenant || '/' || to_hex(b) || '/') || ')', ' | ')::tsquery INTO keys
        FROM generate_series(first_bucket, milepost.search_bucket(top)) AS b;
        lower_id := greatest(low, milepost.search_bucket_start(first_bucket));
        RETURN QUERY SELECT w.id, w.version FROM milepost.search_window(tenant, keys, query, lower_id, upper_id, wanted) AS w;
        GET DIAGNOSTICS found_now = ROW_COUNT;
        wanted := wanted - found_now;
        EXIT WHEN wanted <= 0;
        upper_id := lower_id;
        -- As wide as what is still wanted would need at the rate of this window, but never much wider at once.
        wide := least(256, 2048 / cardinality(pieces), wide * 4, greatest(1, wide * (wanted + 1) / greatest(found_now, 1)));
    END LOOP;
END
$$;

-- How long ago, in seconds, the oldest load was that some tenant's index has not taken in; 0 where all are current. Of the deployment
-- as a whole, so it asks beyond the transaction's tenant, and tells nothing of any.
CREATE FUNCTION milepost.search_lag() RETURNS float8
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - n.loaded_at)), 0)::float8
    FROM milepost.search_progress AS p
    CROSS JOIN LATERAL (
        SELECT j.loaded_at FROM milepost.journal AS j
        WHERE j.tenant_id = p.tenant_id AND j.position > p.position ORDER BY j.position LIMIT 1
    ) AS n
$$;

REVOKE ALL ON FUNCTION milepost.search_window, milepost.search_matches, milepost.search_lag FROM PUBLIC;
GRANT EXECUTE ON FUNCTION milepost.search_matches, milepost.search_lag TO milepost_service;
GRANT SELECT ON milepost.search_document, milepost.search_progress TO milepost_service;

ALTER TABLE milepost.search_document ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.search_document TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
ALTER TABLE milepost.search_progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.search_progress TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
