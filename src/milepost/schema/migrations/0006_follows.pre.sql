-- Whom and what an actor follows.
CREATE TABLE milepost.follow (
    tenant_id   integer NOT NULL,
    actor_id    bigint NOT NULL,                 -- who follows
    kind        smallint NOT NULL,               -- 0 an actor, 1 a group, 2 an object
    target_id   bigint NOT NULL,                 -- the number of the actor or group; 0 where it is an object
    object_kind text COLLATE "C" NOT NULL,       -- '' where it is none
    object_id   text COLLATE "C" NOT NULL,
    since       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, actor_id, kind, target_id, object_kind, object_id),
    CONSTRAINT follow_names_one CHECK (
        CASE WHEN kind = 2 THEN target_id = 0 AND object_kind <> '' AND object_id <> ''
             ELSE target_id > 0 AND object_kind = '' AND object_id = '' END),
    CONSTRAINT follow_kind CHECK (kind IN (0, 1, 2))
);

GRANT SELECT, INSERT, DELETE ON milepost.follow TO milepost_service;
ALTER TABLE milepost.follow ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.follow TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
