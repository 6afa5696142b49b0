-- Keys: stored as hashes, looked up by tenant and hash.

-- name: create_key
-- The key itself is in nobody's hands but the caller's. No row: there is no such tenant.
INSERT INTO milepost.api_key (tenant_id, key_hash, key_id, scopes, name)
SELECT tenant_id, %(key_hash)s, %(key_id)s, %(scopes)s::text[], %(name)s
FROM milepost.tenant WHERE tenant_id = %(tenant_id)s
RETURNING key_id;

-- name: revoke_key
-- The row stays, so that lists show what was revoked, and when. Again: the first time counts.
UPDATE milepost.api_key SET revoked_at = COALESCE(revoked_at, now())
WHERE tenant_id = %(tenant_id)s AND key_id = %(key_id)s
RETURNING key_id;

-- name: list_keys
-- A tenant's keys, the oldest first.
SELECT key_id, name, scopes, created_at, revoked_at FROM milepost.api_key
WHERE tenant_id = %(tenant_id)s
ORDER BY created_at, key_id;

-- name: verify_key
-- Whose key this is, while it is not revoked.
SELECT t.name, t.lane, k.scopes, k.key_id
FROM milepost.api_key k JOIN milepost.tenant t ON t.tenant_id = k.tenant_id
WHERE k.tenant_id = %(tenant_id)s AND k.key_hash = %(key_hash)s AND k.revoked_at IS NULL;
