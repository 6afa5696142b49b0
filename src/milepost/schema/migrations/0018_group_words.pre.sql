-- Groups by the words of their names, ids and attributes.

-- A text as words are read from it: what stands between them is a blank, also where the parser would see a number's sign or a host's name.
CREATE FUNCTION milepost.plain_words(given text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple'::regconfig, regexp_replace(coalesce(given, ''), '[!-/:-@[-`{-~]+', ' ', 'g'));

-- What begins with each of the words: a query in which `before` stands before each, so that an index of such keys serves it.
CREATE FUNCTION milepost.beginnings(words text, before text) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT string_agg('''' || replace(replace(before || word, '\', '\\'), '''', '''''') || ''':*', ' & ')
    FROM unnest(tsvector_to_array(milepost.plain_words(words))) AS word
)::tsquery;

-- The words of a group as the index has them, each under its tenant: its name, its id, and all of its attributes. Which of those
-- are searched the model says, and who asks looks at the row.
CREATE FUNCTION milepost.group_keys(tenant_id integer, name text, id text, attributes jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(ARRAY(
    SELECT tenant_id || '/' || word
    FROM unnest(tsvector_to_array(
        milepost.plain_words(coalesce(name, '') || ' ' || id || ' ' || coalesce(attributes::text, ''))
    )) AS word WHERE octet_length(word) <= 2000
));
CREATE INDEX group_words ON milepost.groups USING gin (milepost.group_keys(tenant_id, name, external_id, attributes));

-- Groups of the session's tenant with words that begin like these, no more than `most`. Its own function, because under a policy `@@`
-- cannot use the index.
CREATE FUNCTION milepost.groups_found(words text, most integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
    tenant integer := NULLIF(current_setting('milepost.tenant', true), '')::integer;
BEGIN
    RETURN QUERY
    SELECT g.group_id FROM milepost.groups AS g
    WHERE milepost.group_keys(g.tenant_id, g.name, g.external_id, g.attributes) @@ milepost.beginnings(words, tenant || '/')
      AND g.tenant_id = tenant
    LIMIT most;
END
$$;
REVOKE ALL ON FUNCTION milepost.groups_found FROM PUBLIC;
GRANT EXECUTE ON FUNCTION milepost.groups_found TO milepost_service;
