-- name: filling
-- A row: not all of history is counted yet.
SELECT name FROM milepost.filling WHERE tenant_id = %(tenant_id)s AND name = ANY (%(names)s::text[]) ORDER BY name LIMIT 1
