-- name: extension
-- Whether this server has it, and this database.
SELECT installed_version AS installed FROM pg_available_extensions WHERE name = %(name)s;

-- name: create
-- Its own objects only.
CREATE EXTENSION {extension} {place};

-- name: drop
-- Without CASCADE: what rests on it stops this.
DROP EXTENSION IF EXISTS {extension};
