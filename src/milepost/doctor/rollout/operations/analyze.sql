-- name: analyze
-- Takes what autovacuum takes.
ANALYZE {table};

-- name: set_statistics
-- How many common values and histogram bounds are kept; -1 is the default. Takes SHARE UPDATE EXCLUSIVE.
ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {statistics};
