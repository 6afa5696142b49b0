-- name: show_as
-- A member that is not shown as all are.
INSERT INTO milepost.board_member (tenant_id, board, member_id, shown)
VALUES (%(tenant_id)s, %(board)s, %(member_id)s, %(shown)s)
ON CONFLICT (tenant_id, board, member_id) DO UPDATE SET shown = excluded.shown

-- name: show_as_all
-- One that is, again.
DELETE FROM milepost.board_member WHERE tenant_id = %(tenant_id)s AND board = %(board)s AND member_id = %(member_id)s
