-- name: partitioned
-- By what a table is partitioned, and by how many columns.
SELECT partstrat::text AS strategy, partnatts AS columns, pg_get_partkeydef(partrelid) AS key
FROM pg_partitioned_table WHERE partrelid = %(table)s;

-- name: owner
-- Whose its partitions have to be.
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = %(table)s;

-- name: create
-- Without indexes and identities: attaching gives it the table's.
CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION);

-- name: give
-- A partition of another owner could not be read through the table's policies alone.
ALTER TABLE {partition} OWNER TO {owner};

-- name: attach
-- It is empty, so that nothing is read.
ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({lower}) TO ({upper});

-- name: must_be_empty
-- Fails at the first row, and holds off others until the drop.
ALTER TABLE {partition} ADD CONSTRAINT milepost_is_empty CHECK (false);

-- name: drop
-- Empty, as has been shown.
DROP TABLE {partition};
