-- Invitations to groups.

-- Who was asked to be in which group, as what: one for each group and actor, the last. It gives no right.
CREATE TABLE milepost.invitation (
    tenant_id   integer NOT NULL,
    group_id    bigint NOT NULL,
    actor_id    bigint NOT NULL,
    role        text NOT NULL,
    permissions text[] NOT NULL,
    state       text NOT NULL,                   -- expired: open, and its time is over
    invited_by  text,                            -- an actor, or a key's id
    invited_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    decided_at  timestamptz,
    PRIMARY KEY (tenant_id, group_id, actor_id),
    CONSTRAINT invitation_state CHECK (state IN ('open', 'accepted', 'declined', 'revoked'))
);
CREATE INDEX invitation_actor ON milepost.invitation (tenant_id, actor_id, group_id);

GRANT SELECT, INSERT, UPDATE ON milepost.invitation TO milepost_service;
ALTER TABLE milepost.invitation ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.invitation TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
