-- name: known
-- Which of these messages' commands were done before.
SELECT key_hash FROM milepost.ledger WHERE tenant_id = %(tenant_id)s AND key_hash = ANY (%(hashes)s::bytea[])

-- name: remember
-- For as long as the ledger lives, a retry of these changes nothing. The id is nobody's: it only fills the column.
INSERT INTO milepost.ledger (tenant_id, key_hash, id)
SELECT %(tenant_id)s, key_hash, %(nobody)s FROM unnest(%(hashes)s::bytea[]) AS key_hash
ON CONFLICT (tenant_id, key_hash) DO NOTHING
