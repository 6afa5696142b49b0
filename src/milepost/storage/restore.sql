-- Restoring, as the owner of the tables.

-- name: make_stage
-- The rows of a file as they lie in it. It lives as long as the restoring session, and is emptied for each file.
CREATE TEMP TABLE cold_stage ({columns})

-- name: copy_stage
-- As DuckDB wrote them.
COPY cold_stage ({names}) FROM STDIN (FORMAT csv, NULL '\N')

-- name: make_back
-- The same as activities, of the activity table's own types.
CREATE TEMP TABLE cold_back AS SELECT {names} FROM milepost.activity LIMIT 0

-- name: to_back
-- The columns that the file was too old to have stay empty.
INSERT INTO cold_back (tenant_id, {targets}) SELECT %(tenant_id)s, {backs} FROM cold_stage c

-- name: marks
-- What came back, counted and summed up as it was when it went.
SELECT count(*), coalesce(sum({mark}), 0) FROM cold_back s

-- name: index_back
-- Batches are taken in the order of ids.
CREATE UNIQUE INDEX ON cold_back (id)

-- name: batch
-- The end of the next batch, or NULL.
SELECT id FROM cold_back WHERE id > %(after)s ORDER BY id OFFSET %(rows)s LIMIT 1

-- name: insert
-- One batch, but for what is in PostgreSQL already, or was retracted or moved since.
WITH back AS (
    INSERT INTO milepost.activity ({names})
    SELECT {names} FROM cold_back s
    WHERE s.id > %(after)s AND s.id <= %(last)s
        AND NOT EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = s.id)
        AND NOT EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = s.id)
    RETURNING tenant_id, id, audience, more_groups
), streams AS (
    INSERT INTO milepost.activity_stream (tenant_id, group_id, audience, id)
    SELECT tenant_id, unnest(more_groups), audience, id FROM back WHERE more_groups IS NOT NULL
)
SELECT count(*) FROM back

-- name: drop
-- Between files, and in the end.
DROP TABLE IF EXISTS cold_stage, cold_back

-- name: of_part
-- The files of a partition, or of a stretch of time.
SELECT file_id, path, part, low, high, rows, checksum, bytes, digest, columns FROM milepost.cold_file
WHERE tenant_id = %(tenant_id)s AND state = 'cold' AND part = %(part)s ORDER BY low
