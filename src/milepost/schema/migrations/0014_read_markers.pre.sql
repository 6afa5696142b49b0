-- How far readers have read their feeds.
CREATE TABLE milepost.read_marker (
    tenant_id   integer NOT NULL,
    actor_id    bigint NOT NULL,                 -- who reads
    group_id    bigint NOT NULL,                 -- whose feed; 0: the home feed
    position    bigint NOT NULL,                 -- of the journal: what was loaded up to there has been read
    newest      uuid NOT NULL,                   -- the largest id that there was then
    marked_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, actor_id, group_id)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON milepost.read_marker TO milepost_service;
ALTER TABLE milepost.read_marker ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.read_marker TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));

-- Which loads brought late data: a load's ids are in order, the smallest first.
CREATE INDEX journal_first_id ON milepost.journal (tenant_id, position, (ids[1]));
