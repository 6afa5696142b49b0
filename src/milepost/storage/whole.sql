-- name: begin
-- One moment for the hot rows, the list of files and what is compared with them. Not read only: temp tables are filled.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- name: tenant
-- Whose rows this transaction sees.
SELECT set_config('milepost.tenant', %(tenant_id)s::text, true)

-- name: make_stage
-- Cold rows as they lie in files.
CREATE TEMP TABLE cold_stage ({columns}) ON COMMIT DELETE ROWS

-- name: make_cold
-- Cold rows as activities.
CREATE TEMP TABLE cold_activity AS SELECT * FROM milepost.activity LIMIT 0

-- name: make_whole
-- The activity table as if nothing had been archived.
CREATE TEMP VIEW activity_whole AS SELECT * FROM milepost.activity UNION ALL SELECT * FROM cold_activity

-- name: copy_stage
-- As DuckDB wrote them.
COPY cold_stage ({names}) FROM STDIN (FORMAT csv, NULL '\N')

-- name: empty
-- Other files are wanted.
TRUNCATE cold_activity

-- name: from_stage
-- From the one to the other.
INSERT INTO cold_activity (tenant_id, {targets}) SELECT %(tenant_id)s, {backs} FROM cold_stage c

-- name: unshadow
-- What is in PostgreSQL too, or was retracted or moved, is not cold.
DELETE FROM cold_activity c
WHERE EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = c.id)
    OR EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = c.id)

-- name: analyze
-- Nobody else does, of a temp table.
ANALYZE cold_activity
