-- name: begin
-- Whose contents these are; and what is committed outlives a crash, lest an object lie there that nobody knows of.
SELECT set_config('milepost.tenant', %(tenant_id)s::text, true), set_config('synchronous_commit', 'on', true)

-- name: claim
-- Contents are about to be written, or are wanted once more: they are not collected for a while. Which of them are there already.
INSERT INTO milepost.content (tenant_id, digest) SELECT %(tenant_id)s, unnest(%(digests)s::bytea[])
ON CONFLICT (tenant_id, digest) DO UPDATE SET touched_at = excluded.touched_at
RETURNING digest, index_digest IS NOT NULL

-- name: written
-- The objects are there, in this form.
UPDATE milepost.content c
SET text_bytes = w.text_bytes, object_bytes = w.object_bytes, index_bytes = w.index_bytes, index_digest = w.index_digest
FROM unnest(%(digests)s::bytea[], %(text_bytes)s::bigint[], %(object_bytes)s::bigint[], %(index_bytes)s::int[],
    %(index_digests)s::bytea[]) AS w (digest, text_bytes, object_bytes, index_bytes, index_digest)
WHERE c.tenant_id = %(tenant_id)s AND c.digest = w.digest

-- name: lie_there
-- New activities whose contents were written before them; one that was there already keeps what it has.
INSERT INTO milepost.activity_content (tenant_id, id, digest)
SELECT %(tenant_id)s, k.id, k.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS k (id, digest)
WHERE EXISTS (SELECT FROM delta d WHERE d.id = k.id)
ON CONFLICT (tenant_id, id) DO NOTHING

-- name: kept_of
-- Where the contents of activities lie, of those that are not in their rows.
SELECT u.id, c.digest, c.text_bytes, c.object_bytes, c.index_bytes, c.index_digest
FROM milepost.activity_content u
JOIN milepost.content c ON c.tenant_id = u.tenant_id AND c.digest = u.digest
WHERE u.tenant_id = %(tenant_id)s AND u.id = ANY (%(ids)s::uuid[])

-- name: follow
-- An activity that was corrected without a word of its content has it still, under its new id; one that was retracted, or has
-- another content now, has it no more. Likewise with files: what nobody names any more is kept for a day, as its ticket may come again.
WITH files_moved AS (
    UPDATE milepost.activity_file u SET id = m.new_id
    FROM unnest(%(corrected_ids)s::uuid[], %(corrected_to)s::uuid[]) AS m (old_id, new_id)
    WHERE u.tenant_id = %(tenant_id)s AND u.id = m.old_id AND m.old_id <> m.new_id
), files_left AS (
    DELETE FROM milepost.activity_file
    WHERE tenant_id = %(tenant_id)s AND id = ANY (%(old_ids)s::uuid[]) AND NOT id = ANY (%(corrected_ids)s::uuid[])
    RETURNING file_id
), unnamed AS (
    UPDATE milepost.file SET keep_until = now() + interval '1 day'
    WHERE tenant_id = %(tenant_id)s AND file_id IN (SELECT file_id FROM files_left)
), moved AS (
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
-- All that is kept here of activities beside their rows, which are still there. Versions stand under the public id. Files that nobody else
-- names are collected from now on, and so are contents of an erasure. How many files that may be.
WITH contents AS (
    DELETE FROM milepost.activity_content WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[]) RETURNING digest
), released AS (
    UPDATE milepost.content c SET touched_at = '-infinity'
    WHERE c.tenant_id = %(tenant_id)s AND c.digest IN (SELECT digest FROM contents) AND %(erased)s
        AND NOT EXISTS (
            SELECT FROM milepost.activity_content u
            WHERE u.tenant_id = c.tenant_id AND u.digest = c.digest AND NOT u.id = ANY (%(ids)s::uuid[]))
), waiting AS (
    DELETE FROM milepost.content_waiting WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
), files AS (
    DELETE FROM milepost.activity_file WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[]) RETURNING file_id
), unnamed AS (
    UPDATE milepost.file SET keep_until = now() WHERE tenant_id = %(tenant_id)s AND file_id IN (SELECT file_id FROM files)
), public AS (
    SELECT coalesce(public_id, id) AS id FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
), versions AS (
    DELETE FROM milepost.activity_version WHERE tenant_id = %(tenant_id)s AND id IN (SELECT id FROM public)
), was AS (
    DELETE FROM milepost.actor_was WHERE tenant_id = %(tenant_id)s AND id IN (SELECT id FROM public)
)
SELECT count(DISTINCT file_id) FROM files
