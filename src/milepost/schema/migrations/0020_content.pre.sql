-- Contents in the object store, each once a tenant (milepost.storage.content). A row is there before its object is.
CREATE TABLE milepost.content (
    tenant_id    integer NOT NULL,
    digest       bytea NOT NULL,                 -- BLAKE2b-256 of its text, by which the object is named
    text_bytes   bigint,
    object_bytes bigint,
    index_bytes  integer,                        -- the object's first bytes, which say where each part is
    index_digest bytea,                          -- of those; NULL: it is being written
    touched_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, digest)
);
CREATE INDEX content_touched_at ON milepost.content (touched_at);

-- Which activities have their content there, and not in their row.
CREATE TABLE milepost.activity_content (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,
    digest      bytea NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX activity_content_digest ON milepost.activity_content (tenant_id, digest);

-- Activities whose content is large and still in their row.
CREATE TABLE milepost.content_waiting (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- What corrections made of activities whose verb keeps versions (milepost.storage.versions). Of the first correction on: two rows.
CREATE TABLE milepost.activity_version (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,                   -- the public one
    version     integer NOT NULL,
    made_at     timestamptz NOT NULL,
    made_by     text,                            -- an actor, or a key's id; NULL: nobody said
    why         text,
    base        integer,                         -- the version that `stored` is a difference to; NULL: it is the whole
    stored      bytea NOT NULL,                  -- zstd
    digest      bytea NOT NULL,                  -- of the whole, to compare with
    PRIMARY KEY (tenant_id, id, version),
    CONSTRAINT activity_version_base CHECK (base < version)
);
ALTER TABLE milepost.activity_version ALTER COLUMN stored SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE, DELETE ON milepost.content, milepost.activity_content, milepost.content_waiting,
    milepost.activity_version TO milepost_service;
ALTER TABLE milepost.content ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.content TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
ALTER TABLE milepost.activity_content ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.activity_content TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
ALTER TABLE milepost.content_waiting ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.content_waiting TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
ALTER TABLE milepost.activity_version ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.activity_version TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
