-- Files that activities name (milepost.storage.files). A row is there before its object may be, and goes after it.
CREATE TABLE milepost.file (
    tenant_id    integer NOT NULL,
    file_id      uuid NOT NULL,
    verb         text COLLATE "C" NOT NULL,      -- which of the model's rules it was checked by
    name         text COLLATE "C" NOT NULL,
    media_type   text COLLATE "C" NOT NULL,
    bytes        bigint NOT NULL,
    sha256       bytea,                          -- NULL: nobody said
    filename     text,                           -- for whoever saves it; NULL: nobody said
    upload_until timestamptz,                    -- when the last upload may begin; NULL: none can be under way any more
    attempt      smallint NOT NULL DEFAULT 0,    -- how often it was looked at: each time in an object of its own, of which the last counts
    completed_at timestamptz,                    -- NULL: it has not been looked at, or was not what was said
    keep_until   timestamptz NOT NULL,           -- collected from then on, if nobody names it; infinity: somebody does
    PRIMARY KEY (tenant_id, file_id)
);
CREATE INDEX file_keep_until ON milepost.file (keep_until) WHERE keep_until < 'infinity';
CREATE INDEX file_upload_until ON milepost.file (upload_until) WHERE completed_at IS NOT NULL;

-- Which activities name which files. Of a file that is not there: it came too late, and is shown as gone.
CREATE TABLE milepost.activity_file (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,
    file_id     uuid NOT NULL,
    name        text COLLATE "C" NOT NULL,
    place       smallint,                        -- among those of its name; NULL: only an earlier version has it
    PRIMARY KEY (tenant_id, id, file_id)
);
CREATE INDEX activity_file_file ON milepost.activity_file (tenant_id, file_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON milepost.file, milepost.activity_file TO milepost_service;
ALTER TABLE milepost.file ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.file TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
ALTER TABLE milepost.activity_file ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.activity_file TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
