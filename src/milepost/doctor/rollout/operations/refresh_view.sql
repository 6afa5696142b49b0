-- name: has_unique
-- A concurrent refresh needs a unique index over plain columns and all rows.
SELECT EXISTS (
    SELECT FROM pg_index WHERE indrelid = %(table)s AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL
        AND indexprs IS NULL);

-- name: is_populated
-- One that was never filled has nothing to compare with.
SELECT relispopulated FROM pg_class WHERE oid = %(table)s;

-- name: fill
-- The first time; nobody can have read it before.
REFRESH MATERIALIZED VIEW {view};

-- name: refresh
-- Readers go on with the old rows until the new ones are in.
REFRESH MATERIALIZED VIEW CONCURRENTLY {view};
