-- name: last_whole
-- The last version that is stored whole, to which the next one may be a difference.
SELECT version, stored FROM milepost.activity_version
WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND base IS NULL
ORDER BY version DESC LIMIT 1

-- name: insert_version
-- One version. Of an activity that has had versions, lost them with its verb's `versions`, and has them again, the old ones stay.
INSERT INTO milepost.activity_version (tenant_id, id, version, made_at, made_by, why, base, stored, digest)
VALUES (%(tenant_id)s, %(id)s, %(version)s, %(made_at)s, %(made_by)s, %(why)s, %(base)s, %(stored)s, %(digest)s)
ON CONFLICT (tenant_id, id, version) DO NOTHING

-- name: made
-- The versions there are, the newest first.
SELECT version, made_at, made_by, why FROM milepost.activity_version
WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND (%(below)s::integer IS NULL OR version < %(below)s)
ORDER BY version DESC LIMIT %(limit)s

-- name: read
-- Some versions, and the whole ones that they are differences to.
SELECT v.version, v.made_at, v.made_by, v.why, v.base, v.stored, v.digest FROM milepost.activity_version v
WHERE v.tenant_id = %(tenant_id)s AND v.id = %(id)s AND (v.version = ANY (%(versions)s) OR v.version IN (
    SELECT w.base FROM milepost.activity_version w
    WHERE w.tenant_id = %(tenant_id)s AND w.id = %(id)s AND w.version = ANY (%(versions)s)))

-- name: forget_versions
-- All versions of some activities.
DELETE FROM milepost.activity_version WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
