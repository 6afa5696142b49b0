-- name: last
-- The newest version with its digest, how many differences in a row lead to it, and how long the whole one before these is.
SELECT v.version, v.digest, (
        SELECT count(*) FROM milepost.activity_version d
        WHERE d.tenant_id = %(tenant_id)s AND d.id = %(id)s AND d.version > w.version),
    w.bytes
FROM (
    SELECT version, digest FROM milepost.activity_version
    WHERE tenant_id = %(tenant_id)s AND id = %(id)s ORDER BY version DESC LIMIT 1
) v CROSS JOIN (
    SELECT version, octet_length(stored) AS bytes FROM milepost.activity_version
    WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND base IS NULL ORDER BY version DESC LIMIT 1
) w

-- name: insert_version
-- One version. Of an activity that has had versions, lost them with its verb's `versions`, and has them again, the old ones stay. No reason
-- is '': a NULL makes a row eight bytes longer, and most versions have none.
INSERT INTO milepost.activity_version (tenant_id, id, version, made_at, made_by, why, base, stored, digest)
VALUES (%(tenant_id)s, %(id)s, %(version)s, %(made_at)s, %(made_by)s, coalesce(%(why)s::text, ''), %(base)s, %(stored)s, %(digest)s)
ON CONFLICT (tenant_id, id, version) DO NOTHING

-- name: made
-- The versions there are, the newest first.
SELECT version, made_at, made_by, nullif(why, '') FROM milepost.activity_version
WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND (%(below)s::integer IS NULL OR version < %(below)s)
ORDER BY version DESC LIMIT %(limit)s

-- name: read
-- Some versions, and all back to the whole one that each is made from.
SELECT DISTINCT v.version, v.made_at, v.made_by, nullif(v.why, '') AS why, v.base, v.stored, v.digest
FROM unnest(%(versions)s::integer[]) AS a (version)
CROSS JOIN LATERAL (
    SELECT max(w.version) AS version FROM milepost.activity_version w
    WHERE w.tenant_id = %(tenant_id)s AND w.id = %(id)s AND w.version <= a.version AND w.base IS NULL
) w
JOIN milepost.activity_version v ON v.tenant_id = %(tenant_id)s AND v.id = %(id)s AND v.version BETWEEN w.version AND a.version

-- name: every
-- All versions of an activity, the oldest first.
SELECT version, made_at, made_by, nullif(why, ''), base, stored, digest FROM milepost.activity_version
WHERE tenant_id = %(tenant_id)s AND id = %(id)s ORDER BY version

-- name: clear
-- They are written anew.
DELETE FROM milepost.activity_version WHERE tenant_id = %(tenant_id)s AND id = %(id)s

-- name: was
-- A correction made the activity somebody else's.
INSERT INTO milepost.actor_was (tenant_id, id, actor_id)
SELECT %(tenant_id)s, %(id)s, actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = %(actor)s
ON CONFLICT DO NOTHING

-- name: were
-- The activities that were an actor's.
SELECT id FROM milepost.actor_was WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s ORDER BY id

-- name: was_nobody
-- None of them was.
DELETE FROM milepost.actor_was WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s

-- name: made_by_nobody
-- What it made of others' activities stays, made by nobody.
UPDATE milepost.activity_version SET made_by = NULL WHERE tenant_id = %(tenant_id)s AND made_by = %(name)s

-- name: forget_versions
-- All versions of some activities.
WITH was AS (
    DELETE FROM milepost.actor_was WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
)
DELETE FROM milepost.activity_version WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
