-- Archiving, as the owner of the tables.

-- name: snapshot
-- All that is asked of a slice is of one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: tenants
-- Whose activities a partition holds.
SELECT t.tenant_id, t.name FROM milepost.tenant t
WHERE EXISTS (SELECT FROM milepost.activity a WHERE a.tenant_id = t.tenant_id AND a.id >= %(low)s AND a.id < %(high)s)
ORDER BY t.tenant_id

-- name: filling
-- A table or column that is still being filled reads the month's rows, or writes into them; so does a search index that is behind.
SELECT EXISTS (SELECT FROM milepost.filling WHERE tenant_id = %(tenant_id)s)
    OR EXISTS (
        SELECT FROM milepost.search_progress p
        WHERE p.tenant_id = %(tenant_id)s AND (p.filled_to > %(low)s
            OR EXISTS (SELECT FROM milepost.journal j WHERE j.tenant_id = p.tenant_id AND j.position > p.position
                AND j.ids[1] < %(high)s AND j.ids[cardinality(j.ids)] >= %(low)s)))

-- name: position
-- How far the tenant was loaded: what a later load touches is named by the journal from here on.
SELECT coalesce(max(position), 0) FROM milepost.journal WHERE tenant_id = %(tenant_id)s

-- name: slice
-- The next rows of a tenant in a partition: how many they are, how many of them are due, the first that is, as many of those that stay as
-- there is room for, and the last.
SELECT count(*), count(*) FILTER (WHERE d.due), (array_agg(d.id) FILTER (WHERE d.due))[1],
    (array_agg(d.id) FILTER (WHERE NOT d.due))[1:%(room)s::integer], (array_agg(d.id))[count(*)]
FROM (
    SELECT s.id, ({due}) IS TRUE AS due FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id LIMIT {rows}
) d

-- name: export
-- The due rows of a file, as its columns have them.
COPY (
    SELECT {columns} FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id >= %(low)s AND s.id < %(high)s AND {due}
    ORDER BY s.id
) TO STDOUT (FORMAT csv, NULL '\N')

-- name: marks
-- A slice of the same rows, counted and summed up in PostgreSQL: what is read back from the store must come to the sum of these.
SELECT count(*), coalesce(sum({mark}), 0) FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND s.id >= %(low)s AND s.id < %(high)s AND {due}

-- name: shadows
-- Ids that a file need not hold any more: in PostgreSQL again, or retracted or moved.
SELECT a.id FROM milepost.activity a WHERE a.tenant_id = %(tenant_id)s AND a.id >= %(low)s AND a.id <= %(high)s
UNION ALL
SELECT t.id FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id >= %(low)s AND t.id <= %(high)s

-- name: number
-- Of the transaction that switches.
SELECT pg_current_xact_id()::text

-- name: seen_by_all
-- Whether every transaction that runs now began after that one ended, so that no reader works by the old list of files. NULL: who asks may not know.
SELECT CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN count(*) = 0 END FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND (age(backend_xmin) >= age(%(number)s::text::xid8::xid) OR age(backend_xid) >= age(%(number)s::text::xid8::xid))

-- name: touched
-- What was loaded, corrected or retracted since: it stays, in PostgreSQL or as a tombstone.
SELECT DISTINCT i.id FROM milepost.journal j CROSS JOIN LATERAL unnest(j.ids) i (id)
WHERE j.tenant_id = %(tenant_id)s AND j.position > %(position)s AND i.id >= %(low)s AND i.id < %(high)s

-- name: remove_streams
-- A cold activity has no stream rows: in its groups' feeds it is read from the archive.
DELETE FROM milepost.activity_stream
WHERE tenant_id = %(tenant_id)s AND id >= %(low)s AND id < %(high)s AND id <> ALL (%(kept)s::uuid[])

-- name: others
-- Whether a tenant has come to a partition since it was exported.
SELECT EXISTS (
    SELECT FROM milepost.tenant t WHERE t.tenant_id <> ALL (%(tenants)s::integer[])
    AND EXISTS (SELECT FROM milepost.activity a WHERE a.tenant_id = t.tenant_id AND a.id >= %(low)s AND a.id < %(high)s)
)

-- name: lock
-- First the strongest lock that is needed: taken later, it could wait for one who waits for us. Without the partitions: a load that
-- copies into one of them asks for the table itself later.
LOCK TABLE ONLY milepost.activity IN ACCESS EXCLUSIVE MODE

-- name: leaving
-- A partition leaves, and one with room for what stays takes its place.
SELECT format('ALTER TABLE milepost.activity DETACH PARTITION milepost.%%I', %(name)s::text),
    format('ALTER TABLE milepost.%%I RENAME TO %%I', %(name)s::text, %(name)s || '_leaving')

-- name: take_back
-- What stays of a partition that leaves.
INSERT INTO milepost.activity ({names}) SELECT {names} FROM milepost.{table} WHERE tenant_id = %(tenant_id)s AND id = ANY (%(kept)s::uuid[])

-- name: names
-- The columns of the activity table.
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'milepost.activity'::regclass AND attnum > 0 AND NOT attisdropped

-- name: drop
-- All of it is in the archive, or in the new partition.
SELECT format('DROP TABLE milepost.%%I', %(name)s || '_leaving')

-- name: remove
-- A batch of those that are in the archive, but for what was touched since.
WITH streams AS (
    DELETE FROM milepost.activity_stream WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])
)
DELETE FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[])

-- name: pin
-- It was wanted back, so the next runs leave it.
INSERT INTO milepost.restored (tenant_id, low, high, until) VALUES (%(tenant_id)s, %(low)s, %(high)s, %(until)s)
ON CONFLICT (tenant_id, low, high) DO UPDATE SET until = excluded.until

-- name: forget_pins
-- Their time is over.
DELETE FROM milepost.restored WHERE until < now()
