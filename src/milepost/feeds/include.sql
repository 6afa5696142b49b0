-- name: actors
-- The actors of a page, each once.
SELECT external_id, kind, name, attributes::text FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND external_id = ANY (%(ids)s::text[])

-- name: groups
-- The groups of a page, each once. Their parents and zones are times' matter: /v1/groups/{id} tells them.
SELECT external_id, kind, name, status, attributes::text FROM milepost.groups
WHERE tenant_id = %(tenant_id)s AND external_id = ANY (%(ids)s::text[])
