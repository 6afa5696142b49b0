-- name: ledger_known
-- A key that came without a time has its first id for ever: a retry takes that id, and is a duplicate.
SELECT key_hash, id FROM milepost.ledger WHERE tenant_id = %(tenant_id)s AND key_hash = ANY (%(hashes)s::bytea[])

-- name: ledger_new
-- Remember the ids of keys that are new.
INSERT INTO milepost.ledger (tenant_id, key_hash, id)
SELECT %(tenant_id)s, key_hash, id FROM unnest(%(hashes)s::bytea[], %(ids)s::uuid[]) AS k (key_hash, id)

-- name: buried
-- Whether an id of the delta must never be counted again, or is of an actor that was erased later. Few tenants have tombstones of a load's
-- time, fewer have erased whom they hear of again, and where there is none the delta is not read.
SELECT EXISTS (
    SELECT FROM milepost.tombstone t
    WHERE t.tenant_id = %(tenant_id)s AND t.id >= %(low)s AND t.id <= %(high)s AND t.id IN (SELECT id FROM delta)
) OR EXISTS (
    SELECT FROM milepost.erased_actor e JOIN delta d ON d.actor_id = e.actor_id AND d.occurred_at <= e.until
    WHERE e.tenant_id = %(tenant_id)s
)

-- name: staged_ids
-- What came, to be looked for in the archive.
SELECT DISTINCT id FROM stage

-- name: drop_staged
-- They are in the archive, and counted.
DELETE FROM stage WHERE id = ANY (%(ids)s::uuid[])
