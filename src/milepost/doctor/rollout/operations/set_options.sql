-- name: options
-- The storage parameters that a table has, as name=value.
SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = %(table)s;

-- name: set
-- Takes SHARE UPDATE EXCLUSIVE for fillfactor and autovacuum's.
ALTER TABLE {table} SET ({options});

-- name: reset
-- Those that the table did not have.
ALTER TABLE {table} RESET ({options});
