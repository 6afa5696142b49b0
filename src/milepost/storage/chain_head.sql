-- name: head
-- The newest link of a tenant's chain.
SELECT number, made_at, digest FROM milepost.chain_link WHERE tenant_id = %(tenant_id)s ORDER BY number DESC LIMIT 1

-- name: secret
-- Signs heads.
SELECT secret FROM milepost.deployment

-- name: drop_links
-- The tenant's chain goes.
DELETE FROM milepost.chain_link WHERE tenant_id = %(tenant_id)s

-- name: drop_blocks
-- With all that its links are about.
DELETE FROM milepost.chain_block WHERE tenant_id = %(tenant_id)s

-- name: begin_anew
-- Where the model has a chain, it begins anew with what is there.
INSERT INTO milepost.filling (tenant_id, name, filled_to) VALUES (%(tenant_id)s, 'chain', '00000000-0000-0000-0000-000000000000')
ON CONFLICT (tenant_id, name) DO UPDATE SET filled_to = excluded.filled_to

-- name: forget_filling
-- Nothing is filled any more.
DELETE FROM milepost.filling WHERE tenant_id = %(tenant_id)s AND name = 'chain'
