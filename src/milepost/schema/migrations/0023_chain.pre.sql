-- The chain of a tenant (milepost.storage.chain): one link for each load, correction and removal, with the digest of what it made and of
-- the links before it.
CREATE TABLE milepost.chain_link (
    tenant_id   integer NOT NULL,
    number      bigint NOT NULL,                 -- from 1 on, without gaps
    made_at     timestamptz NOT NULL,
    why         text COLLATE "C" NOT NULL,       -- loaded, found, corrected, retention RULE or erasure NUMBER
    digest      bytea NOT NULL,
    PRIMARY KEY (tenant_id, number),
    CONSTRAINT chain_link_number CHECK (number > 0)
);

-- What a link is about, up to 128 activities in a row, as arrays: a row for each would be four times the WAL. No block has ids of two
-- windows (milepost.chain_window), so an id is looked for in one.
CREATE TABLE milepost.chain_block (
    tenant_id   integer NOT NULL,
    link        bigint NOT NULL,
    place       integer NOT NULL,                -- within the link, from 1 on
    kind        text COLLATE "C" NOT NULL,
    low         uuid NOT NULL,                   -- its first id and its last
    high        uuid NOT NULL,
    ids         uuid[] NOT NULL,
    salts       uuid[],                          -- NULL, one by one, of activities that are gone
    digests     bytea[],                         -- SHA-256 of salt and activity
    digest      bytea NOT NULL,                  -- of kind, ids and digests
    PRIMARY KEY (tenant_id, link, place),
    -- made by a load, found when the chain began, corrected: the activity is from here on as its digest says. moved to another id,
    -- retracted, removed by retention, erased with its actor: there is none of this id from here on.
    CONSTRAINT chain_block_kind CHECK (CASE
        WHEN kind IN ('made', 'found', 'corrected') THEN salts IS NOT NULL AND digests IS NOT NULL
        ELSE kind IN ('moved', 'retracted', 'removed', 'erased') AND salts IS NULL AND digests IS NULL END)
);
CREATE INDEX chain_block_ids ON milepost.chain_block (tenant_id, low, high);
-- Hashes and random numbers: nothing to compress.
ALTER TABLE milepost.chain_block ALTER COLUMN ids SET STORAGE EXTERNAL, ALTER COLUMN salts SET STORAGE EXTERNAL,
    ALTER COLUMN digests SET STORAGE EXTERNAL;

-- The first id of the 17.5 minutes (2^20 ms) that an id lies in.
CREATE FUNCTION milepost.chain_window(id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rpad(left(id::text, 7), 32, '0')::uuid;

-- The service adds to a chain, and forgets salts; it can neither change nor remove what is in it.
GRANT SELECT, INSERT ON milepost.chain_link, milepost.chain_block TO milepost_service;
GRANT UPDATE (salts) ON milepost.chain_block TO milepost_service;
ALTER TABLE milepost.chain_link ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.chain_link TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
ALTER TABLE milepost.chain_block ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.chain_block TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
