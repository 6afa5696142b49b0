-- name: column
-- A column of a table, with what goes with it; no row if there is none.
SELECT a.attnum, a.attnotnull AS not_null, format_type(a.atttypid, a.atttypmod) AS type, a.attidentity::text AS identity,
       a.attgenerated::text AS generated, a.attstattarget AS statistics,
       (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE (d.adrelid, d.adnum) = (a.attrelid, a.attnum)) AS fallback
FROM pg_attribute a
WHERE a.attrelid = %(table)s AND a.attname = %(column)s AND a.attnum > 0 AND NOT a.attisdropped;

-- name: constraint
-- A constraint of a table by its name.
SELECT oid::bigint AS oid, contype::text AS kind, convalidated AS valid, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE conrelid = %(table)s AND conname = %(name)s;

-- name: add_constraint
-- Holds for what is written from now on; what is there is looked at later, without a lock that blocks.
ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID;

-- name: validate_constraint
-- Reads the whole table, while reads and writes go on.
ALTER TABLE {table} VALIDATE CONSTRAINT {name};

-- name: drop_constraint
-- Of ours, which may not be there.
ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name};
