-- name: subject
-- Who is meant, without the name; and the secret by which that is told of other names.
SELECT milepost.subject_of(%(tenant_id)s, %(name)s)

-- name: secret
-- Signs receipts, and tells whether a name in a payload is the one that is meant.
SELECT secret FROM milepost.deployment

-- name: unfinished
-- Erasures that a process began and did not end, the oldest first.
SELECT e.tenant_id, t.name, t.lane, e.erasure_id, e.subject, e.totals, e.state
FROM milepost.erasure e JOIN milepost.tenant t USING (tenant_id)
WHERE e.state <> 'done' ORDER BY e.tenant_id, e.erasure_id LIMIT 100

-- name: documents
-- Search documents of what is gone: the indexer would do it within a second, but would not say so.
DELETE FROM milepost.search_document d USING milepost.tombstone t
WHERE d.tenant_id = %(tenant_id)s AND t.tenant_id = d.tenant_id AND t.id = d.id AND t.current_id IS NULL

-- name: letters
-- Dead letters, a few at a time: payloads may be large.
SELECT letter_id, kind, payload, rows FROM milepost.dead_letter
WHERE tenant_id = %(tenant_id)s AND letter_id > %(after)s ORDER BY letter_id LIMIT 20

-- name: drop_letter
-- Nothing but the actor's was in it.
DELETE FROM milepost.dead_letter WHERE tenant_id = %(tenant_id)s AND letter_id = %(letter)s

-- name: cut_letter
-- What is others' in it stays.
UPDATE milepost.dead_letter SET payload = %(payload)s, rows = %(rows)s WHERE tenant_id = %(tenant_id)s AND letter_id = %(letter)s

-- name: one
-- An erasure, by its number.
SELECT erasure_id, subject, until, state, asked_at, asked_by, done_at, totals, removed, receipt
FROM milepost.erasure WHERE tenant_id = %(tenant_id)s AND erasure_id = %(erasure)s

-- name: archived
-- The actor's number, where the tenant has files of the archive at all.
SELECT actor_id FROM milepost.erasure
WHERE tenant_id = %(tenant_id)s AND erasure_id = %(erasure)s AND actor_id IS NOT NULL
    AND EXISTS (SELECT FROM milepost.cold_file f WHERE f.tenant_id = %(tenant_id)s)

-- name: finish
-- Done: from here on the receipt says what is left where, and until when.
UPDATE milepost.erasure SET state = 'done', done_at = %(at)s, removed = %(removed)s, receipt = %(receipt)s
WHERE tenant_id = %(tenant_id)s AND erasure_id = %(erasure)s AND state <> 'done'

-- name: ledger
-- Every erasure, as a restored database needs it.
SELECT t.name, e.subject, e.until, e.totals, e.asked_by, e.asked_at FROM milepost.erasure e JOIN milepost.tenant t USING (tenant_id)
WHERE %(name)s::text IS NULL OR t.name = %(name)s ORDER BY e.tenant_id, e.erasure_id

-- name: tables
-- The tables that hold text of a tenant; partitions through their parents.
SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
WHERE c.relnamespace = 'milepost'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relname NOT LIKE 'queue%%' ORDER BY 1

-- name: queues
-- The tables of the queue.
SELECT c.relname::text FROM pg_class c
WHERE c.relnamespace = 'milepost'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^queue_[0-9]+$' ORDER BY 1

-- name: rows_with
-- How many of a tenant's rows have a word anywhere in their text.
SELECT count(*) FROM milepost.{table} t WHERE tenant_id = %(tenant_id)s AND t::text ~ %(pattern)s

-- name: numbers
-- The numbers that a name has, and had before it was erased.
SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = %(name)s
UNION
SELECT actor_id FROM milepost.erasure
WHERE tenant_id = %(tenant_id)s AND subject = milepost.subject_of(%(tenant_id)s, %(name)s) AND actor_id IS NOT NULL

-- name: places_of
-- Places of some numbers in snapshots of boards: these have no text.
SELECT count(*) FROM milepost.snapshot s
JOIN milepost.snapshot_place p ON p.tenant_id = s.tenant_id AND p.snapshot_id = s.snapshot_id
WHERE s.tenant_id = %(tenant_id)s AND s.board = ANY (%(boards)s) AND p.member_id = ANY (%(numbers)s)

-- name: payloads
-- A tenant's payloads, to be decompressed and looked through.
SELECT payload FROM milepost.{table} WHERE tenant_id = %(tenant_id)s

-- name: versions
-- A tenant's versions, each activity's in their order, to be decompressed and looked through.
SELECT version, made_at, made_by, why, base, stored, digest FROM milepost.activity_version
WHERE tenant_id = %(tenant_id)s ORDER BY id, version

-- name: contents
-- A tenant's contents in the object store.
SELECT digest, text_bytes, object_bytes, index_bytes, index_digest FROM milepost.content
WHERE tenant_id = %(tenant_id)s AND index_digest IS NOT NULL

-- name: unnamed_files
-- Files whose time is over, and that nobody names: they are about to be deleted.
SELECT count(*) FROM milepost.file f
WHERE f.tenant_id = %(tenant_id)s AND f.completed_at IS NOT NULL AND f.keep_until <= now()
    AND NOT EXISTS (SELECT FROM milepost.activity_file u WHERE u.tenant_id = f.tenant_id AND u.file_id = f.file_id)

-- name: unknown_files
-- How many of these are no files of the tenant.
SELECT count(*) FROM unnest(%(ids)s::uuid[]) AS o (file_id)
WHERE NOT EXISTS (SELECT FROM milepost.file f WHERE f.tenant_id = %(tenant_id)s AND f.file_id = o.file_id)
