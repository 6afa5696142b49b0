-- name: blocks
-- As many as there are to go through; those that come later hold rows that were written with the change in place.
SELECT pg_relation_size(%(table)s::regclass) / current_setting('block_size')::bigint;

-- name: batch
-- A TID range scan (PostgreSQL 14 and later): only these blocks are read.
{statement} AND ctid >= {first}::tid AND ctid < {last}::tid {ending};

-- name: density
-- How many rows a block can hold: by the statistics' widths, else by what each column takes at least.
SELECT greatest(1, (current_setting('block_size')::int - 24) / (28 + sum(coalesce(s.avg_width, greatest(a.attlen, 1)))))::float8
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s ON (s.schemaname, s.tablename, s.attname, s.inherited) = (n.nspname, c.relname, a.attname, false)
WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped;
