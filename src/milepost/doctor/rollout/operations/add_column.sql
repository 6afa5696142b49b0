-- name: probe
-- One row beside the table shows whether PostgreSQL would write every row anew for this default: then the file of the table changes.
CREATE TEMP TABLE milepost_rollout_probe AS SELECT 1 AS one;

-- name: probe_add
-- The same column with the same default.
ALTER TABLE milepost_rollout_probe ADD COLUMN {column} {type} DEFAULT {value};

-- name: probe_file
-- Changes with every rewrite.
SELECT pg_relation_filenode('milepost_rollout_probe'::regclass)::bigint;

-- name: probe_drop
-- The answer is all that was wanted of it.
DROP TABLE milepost_rollout_probe;

-- name: add
-- A change of the catalogue alone, for no default and for one that PostgreSQL keeps there.
ALTER TABLE {table} ADD COLUMN {column} {type} {rest};

-- name: set_default
-- For new rows; those that are there are filled in batches.
ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value};

-- name: fill
-- Each row gets a value of its own.
UPDATE {table} SET {column} = {value} WHERE {column} IS NULL;

-- name: drop
-- Takes its values with it.
ALTER TABLE {table} DROP COLUMN IF EXISTS {column};
