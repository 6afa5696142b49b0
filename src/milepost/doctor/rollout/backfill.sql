-- name: blocks
-- As many as there are to go through; those that come later hold rows that were written with the change in place.
SELECT pg_relation_size(%(table)s::regclass) / current_setting('block_size')::bigint;

-- name: batch
-- A TID range scan (PostgreSQL 14 and later): only these blocks are read.
{statement} AND ctid >= {first}::tid AND ctid < {last}::tid;
