-- name: set_not_null
-- The valid check proves it, so that PostgreSQL reads no row here.
ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;

-- name: drop_not_null
-- As it was found.
ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL;
