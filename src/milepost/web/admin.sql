-- name: dead_letters
-- A page of what a tenant has lying there, oldest first; without the payloads, which may be large.
SELECT batch_id, kind, rows, received_at, failed_at, error
FROM milepost.dead_letter
WHERE tenant_id = %(tenant_id)s AND batch_id > %(after)s
ORDER BY batch_id
LIMIT %(limit)s
