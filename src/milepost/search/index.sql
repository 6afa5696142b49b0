-- The index's own statements, run by the owner. In braces: {words}, the document of an activity `s`, as the model has it.

-- name: begin
-- Tenants that have no index yet, and those whose index is of other declarations, begin with nothing of history. What is loaded from
-- here on, the journal names.
INSERT INTO milepost.search_progress (tenant_id, position, fingerprint, filled_to)
SELECT t.tenant_id, coalesce((SELECT max(j.position) FROM milepost.journal j WHERE j.tenant_id = t.tenant_id), 0),
    %(fingerprint)s, 'ffffffff-ffff-ffff-ffff-ffffffffffff'
FROM milepost.tenant t
WHERE NOT EXISTS (
    SELECT FROM milepost.search_progress p WHERE p.tenant_id = t.tenant_id AND p.fingerprint = %(fingerprint)s
)
ON CONFLICT (tenant_id) DO UPDATE SET fingerprint = excluded.fingerprint, filled_to = excluded.filled_to

-- name: work
-- Who has something to be indexed. One look-up in the journal for each tenant.
SELECT p.tenant_id,
    EXISTS (SELECT FROM milepost.journal j WHERE j.tenant_id = p.tenant_id AND j.position > p.position),
    p.filled_to > '00000000-0000-0000-0000-000000000000'
FROM milepost.search_progress p
WHERE %(fingerprint)s::text IS NULL
    OR p.filled_to > '00000000-0000-0000-0000-000000000000'
    OR EXISTS (SELECT FROM milepost.journal j WHERE j.tenant_id = p.tenant_id AND j.position > p.position)

-- name: next_loads
-- The loads after the position, up to so many activities, and the activities that they name, each once. The row is locked: it says
-- where this step begins.
WITH here AS MATERIALIZED (
    SELECT position FROM milepost.search_progress WHERE tenant_id = %(tenant_id)s FOR UPDATE
), loads AS MATERIALIZED (
    SELECT position, ids FROM (
        SELECT j.position, j.ids, sum(cardinality(j.ids)) OVER (ORDER BY j.position) - cardinality(j.ids) AS before
        FROM (
            SELECT position, ids FROM milepost.journal
            WHERE tenant_id = %(tenant_id)s AND position > (SELECT position FROM here) ORDER BY position LIMIT %(loads)s
        ) j
    ) j WHERE before < %(rows)s
)
SELECT (SELECT max(position) FROM loads), ARRAY(SELECT DISTINCT unnest(ids) FROM loads ORDER BY 1)

-- name: remove_stale
-- Documents of activities that are gone, or were corrected since.
DELETE FROM milepost.search_document d
USING unnest(%(ids)s::uuid[]) AS i (id)
WHERE d.tenant_id = %(tenant_id)s AND d.id = i.id
    AND NOT EXISTS (
        SELECT FROM milepost.activity s
        WHERE s.tenant_id = %(tenant_id)s AND s.id = d.id AND s.version = d.version AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0
    )

-- name: add
-- The documents of activities that have none, in the order of their keys.
INSERT INTO milepost.search_document (tenant_id, id, version, words)
SELECT %(tenant_id)s, s.id, s.version, s.words FROM (
    SELECT s.id, s.version, {words} AS words
    FROM unnest(%(ids)s::uuid[]) AS i (id)
    CROSS JOIN LATERAL (
        SELECT s.* FROM milepost.activity s
        WHERE s.tenant_id = %(tenant_id)s AND s.id = i.id AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0
    ) s
    WHERE s.verb = ANY (%(verbs)s::text[])
) s WHERE s.words <> '' ORDER BY s.id
ON CONFLICT (tenant_id, id) DO NOTHING

-- name: write_keys
-- What this step has put into the index is written to where it belongs, so that searches need not read what waits.
SELECT gin_clean_pending_list('milepost.search_document_keys')

-- name: reached
-- With the documents themselves: what is taken in and what is said of it are one.
UPDATE milepost.search_progress SET position = %(position)s WHERE tenant_id = %(tenant_id)s

-- name: next_chunk
-- The next span of history, downward, with so many activities; the last one goes down to the smallest id.
SELECT coalesce((
    SELECT s.id FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id < p.filled_to ORDER BY s.id DESC OFFSET %(rows)s LIMIT 1
), '00000000-0000-0000-0000-000000000000'), p.filled_to
FROM milepost.search_progress p WHERE p.tenant_id = %(tenant_id)s FOR UPDATE

-- name: clear
-- Documents of other declarations, or of a step that was taken while the model changed.
DELETE FROM milepost.search_document WHERE tenant_id = %(tenant_id)s AND id >= %(low)s AND id < %(high)s

-- name: add_span
-- The documents of the span.
INSERT INTO milepost.search_document (tenant_id, id, version, words)
SELECT %(tenant_id)s, s.id, s.version, s.words FROM (
    SELECT s.id, s.version, {words} AS words FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id >= %(low)s AND s.id < %(high)s AND s.verb = ANY (%(verbs)s::text[])
) s WHERE s.words <> '' ORDER BY s.id

-- name: add_archived
-- Those of its activities that are archived.
INSERT INTO milepost.search_document (tenant_id, id, version, words)
SELECT %(tenant_id)s, s.id, s.version, s.words FROM (
    SELECT s.id, s.version, {words} AS words FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) s
    WHERE s.verb = ANY (%(verbs)s::text[])
        AND NOT EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = s.id)
        AND NOT EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = s.id)
) s WHERE s.words <> '' ORDER BY s.id

-- name: filled_to
-- From here on up, history is indexed.
UPDATE milepost.search_progress SET filled_to = %(low)s WHERE tenant_id = %(tenant_id)s

-- name: forget_documents
-- A bounded step.
DELETE FROM milepost.search_document WHERE tenant_id = %(tenant_id)s AND id = ANY (ARRAY(
    SELECT id FROM milepost.search_document WHERE tenant_id = %(tenant_id)s ORDER BY id LIMIT %(rows)s
))

-- name: forget_progress
-- The journal need not be kept for it any more.
DELETE FROM milepost.search_progress WHERE tenant_id = %(tenant_id)s

-- name: version
-- Whether another model was applied.
SELECT coalesce(max(version), 0) FROM milepost.model_version

-- name: lag
-- How far the tenant that is furthest behind is.
SELECT milepost.search_lag()
