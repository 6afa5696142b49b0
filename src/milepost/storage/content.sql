-- name: claim
-- A content is about to be written, or is wanted once more: it is not collected for a while. Whether it is there already.
INSERT INTO milepost.content (tenant_id, digest) VALUES (%(tenant_id)s, %(digest)s)
ON CONFLICT (tenant_id, digest) DO UPDATE SET touched_at = excluded.touched_at
RETURNING index_digest IS NOT NULL

-- name: written
-- The object is there, in this form.
UPDATE milepost.content
SET text_bytes = %(text_bytes)s, object_bytes = %(object_bytes)s, index_bytes = %(index_bytes)s, index_digest = %(index_digest)s
WHERE tenant_id = %(tenant_id)s AND digest = %(digest)s

-- name: kept_of
-- Where the contents of activities lie, of those that are not in their rows.
SELECT u.id, c.digest, c.text_bytes, c.object_bytes, c.index_bytes, c.index_digest
FROM milepost.activity_content u
JOIN milepost.content c ON c.tenant_id = u.tenant_id AND c.digest = u.digest
WHERE u.tenant_id = %(tenant_id)s AND u.id = ANY (%(ids)s::uuid[])

-- name: follow
-- An activity that was corrected without a word of its content has it still, under its new id; one that was retracted, or has
-- another content now, has it no more.
WITH moved AS (
    UPDATE milepost.activity_content u SET id = m.new_id
    FROM unnest(%(kept_ids)s::uuid[], %(new_ids)s::uuid[]) AS m (old_id, new_id)
    WHERE u.tenant_id = %(tenant_id)s AND u.id = m.old_id
)
DELETE FROM milepost.activity_content
WHERE tenant_id = %(tenant_id)s AND id = ANY (%(old_ids)s::uuid[]) AND NOT id = ANY (%(kept_ids)s::uuid[])

-- name: wait
-- Activities whose content is large and in the row: it is moved soon.
INSERT INTO milepost.content_waiting (tenant_id, id) SELECT %(tenant_id)s, unnest(%(ids)s::uuid[])
ON CONFLICT DO NOTHING

-- name: release
-- All that is kept here of activities beside their rows, which are still there. Versions stand under the public id.
WITH contents AS (
    DELETE FROM milepost.activity_content WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
), waiting AS (
    DELETE FROM milepost.content_waiting WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
)
DELETE FROM milepost.activity_version WHERE tenant_id = %(tenant_id)s AND id IN (
    SELECT CASE WHEN public_id IS NOT NULL THEN public_id ELSE id END FROM milepost.activity
    WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[]))
