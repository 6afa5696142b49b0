-- name: of_object
-- The pairs of one object, the newest first: the primary key backwards.
SELECT t.object_kind, t.object_id, t.opened_id, t.opened_at, t.closed_id, t.closed_at
FROM {table} t
WHERE t.tenant_id = %(tenant_id)s{where}
ORDER BY t.opened_id DESC
LIMIT {rows}

-- name: of_group
-- The pairs of one group, the open ones first (NULL is the largest), then the latest closed: the group's index
-- backwards.
SELECT t.object_kind, t.object_id, t.opened_id, t.opened_at, t.closed_id, t.closed_at
FROM {table} t
WHERE t.tenant_id = %(tenant_id)s{where}
ORDER BY t.closed_at DESC, t.object_kind DESC, t.object_id DESC, t.opened_id DESC
LIMIT {rows}
