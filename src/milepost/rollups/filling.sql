-- name: filling
-- A row: not all of history is counted yet.
SELECT filled_to FROM milepost.filling WHERE tenant_id = %(tenant_id)s AND name = %(name)s
