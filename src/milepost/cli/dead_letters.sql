-- name: of_tenant
-- What a tenant has lying there, oldest first; without the payloads, which may be large.
SELECT batch_id, kind, rows, received_at, failed_at, error
FROM milepost.dead_letter
WHERE tenant_id = %(tenant_id)s
ORDER BY batch_id
LIMIT %(limit)s;
