-- Members of boards who are hidden, or masked to some viewers.

-- How a member is shown on a board, where it is not as all are.
CREATE TABLE milepost.board_member (
    tenant_id   integer NOT NULL,
    board       text COLLATE "C" NOT NULL,
    member_id   bigint NOT NULL,                 -- an actor or a group, whichever the board ranks
    shown       text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, board, member_id),
    -- hidden: it takes no rank. masked: it does, and only those who share a group with it see who it is.
    CONSTRAINT board_member_shown CHECK (shown IN ('hidden', 'masked'))
);
GRANT SELECT, INSERT, UPDATE, DELETE ON milepost.board_member TO milepost_service;
ALTER TABLE milepost.board_member ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON milepost.board_member TO milepost_service
    USING (tenant_id = (SELECT NULLIF(current_setting('milepost.tenant', true), '')::integer));
