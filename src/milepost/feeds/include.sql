-- name: actors
-- The actors of a page, each once.
SELECT external_id, kind, name, attributes::text FROM milepost.actor
WHERE tenant_id = %(tenant_id)s AND external_id = ANY (%(ids)s::text[])

-- name: groups
-- The groups of a page that the reader may read, each once. Their parents and zones are times' matter: /v1/groups/ID tells them.
SELECT g.external_id, g.kind, g.name, g.status, g.attributes::text FROM milepost.groups g
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = ANY (%(ids)s::text[]) AND {readable}
