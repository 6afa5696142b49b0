-- name: build_again
-- From its own definition: `CREATE INDEX name …` with CONCURRENTLY put in.
{definition};
