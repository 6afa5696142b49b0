-- Whose activities with versions were before a correction made them somebody else's: an erasure finds these versions by it.
CREATE TABLE milepost.actor_was (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,                   -- the public one
    actor_id    bigint NOT NULL,
    PRIMARY KEY (tenant_id, id, actor_id)
);
CREATE INDEX actor_was_actor ON milepost.actor_was (tenant_id, actor_id);
CREATE INDEX activity_version_made_by ON milepost.activity_version (tenant_id, made_by) WHERE made_by IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON milepost.actor_was TO milepost_service;
ALTER TABLE milepost.actor_was ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.actor_was TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
