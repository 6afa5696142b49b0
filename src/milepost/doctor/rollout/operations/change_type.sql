-- name: dependents
-- What rests on the column and would not follow it to another: all but its indexes, its default, its own sequence, and the constraints
-- that are indexes.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS what
FROM pg_depend d
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %(table)s AND d.refobjsubid = %(attnum)s
  AND NOT (coalesce(c.relkind IN ('i', 'S'), false) OR d.classid = 'pg_attrdef'::regclass OR coalesce(k.contype IN ('p', 'u', 'n'), false))
UNION ALL
SELECT pg_describe_object('pg_constraint'::regclass, k.oid, 0)
FROM pg_constraint k
WHERE k.contype = 'f' AND k.confrelid = %(table)s AND %(attnum)s = ANY (k.confkey)
UNION ALL
SELECT 'privileges on the column' FROM pg_attribute a
WHERE a.attrelid = %(table)s AND a.attnum = %(attnum)s AND a.attacl IS NOT NULL
UNION ALL
SELECT 'the table it is inherited from or by' FROM pg_inherits i WHERE %(table)s IN (i.inhrelid, i.inhparent)
LIMIT 5;

-- name: indexes
-- Of the column; `expressions` is what else there is of it, in which the column must not be.
SELECT c.relname AS name, n.nspname AS schema, pg_get_indexdef(i.indexrelid) AS definition, i.indisvalid AS valid,
       k.conname AS constraint, k.contype::text AS kind, k.condeferrable AS deferrable, i.indisclustered OR i.indisreplident AS marked,
       concat_ws(' ', pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)) AS expressions
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = i.indrelid
WHERE i.indrelid = %(table)s
  AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
              AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = %(attnum)s
              UNION ALL
              SELECT FROM unnest(i.indkey::int2[]) key WHERE key = %(attnum)s)
ORDER BY c.relname;

-- name: own_sequence
-- The sequence that goes when the column goes (serial).
SELECT n.nspname AS schema, c.relname AS name
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_class'::regclass AND d.refobjid = %(table)s AND d.refobjsubid = %(attnum)s AND d.deptype = 'a';

-- name: user_triggers
-- Whether a backfill would fire something of the application's.
SELECT EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = %(table)s AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0
        AND tgname <> %(ours)s);

-- name: add
-- Without a default, so that no row is written.
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {type};

-- name: make_function
-- The column that is not in use follows the one that is. A value that it cannot take must not fail the application's statement: it is
-- null there, which the comparison finds.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path} AS {body};

-- name: body
-- The expression sees the new row's columns by their names.
BEGIN
    NEW.{to} := (SELECT {expression} FROM (SELECT NEW.*) AS written);
    RETURN NEW;
EXCEPTION WHEN data_exception OR datatype_mismatch OR check_violation THEN
    NEW.{to} := NULL;
    RETURN NEW;
END;

-- name: make_trigger
-- Its name makes it the last of those that fire before, so that it sees what they made of the row.
CREATE OR REPLACE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();

-- name: drop_trigger
-- Before its column goes.
DROP TRIGGER IF EXISTS {trigger} ON {table};

-- name: drop_function
-- With the trigger.
DROP FUNCTION IF EXISTS {function}();

-- name: fill
-- Only rows that differ.
UPDATE {table} SET {to} = {expression} WHERE {to} IS DISTINCT FROM ({expression});

-- name: quietly
-- The application's own triggers have seen these rows already.
SET LOCAL session_replication_role = replica;

-- name: differing
-- None may be, before one takes the other's place.
SELECT count(*) FROM {table} WHERE {to} IS DISTINCT FROM ({expression});

-- name: analyze
-- The planner knows the column from the first moment.
ANALYZE {table} ({column});

-- name: lock
-- Once, and first: what follows takes a moment, and cannot deadlock on its way up.
LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;

-- name: drop_default
-- What fills it from now on is the trigger.
ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT, ALTER COLUMN {column} DROP NOT NULL;

-- name: set_default
-- As the other column had it.
ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {value};

-- name: set_not_null
-- A valid check proves it: no row is read.
ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;

-- name: own_from_now
-- Dropping the other column must not take the sequence.
ALTER SEQUENCE {sequence} OWNED BY {column};

-- name: widen_sequence
-- A bigint column is of no use to a sequence that ends where an integer does.
ALTER SEQUENCE {sequence} AS bigint;

-- name: drop_index
-- Its twin takes its name in the same transaction.
DROP INDEX IF EXISTS {index};

-- name: drop_constraint
-- With its index; its twin takes its name in the same transaction.
ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name};

-- name: rename_column
-- The moment of the change.
ALTER TABLE {table} RENAME COLUMN {column} TO {name};

-- name: rename_index
-- The twin is in place.
ALTER INDEX {index} RENAME TO {name};

-- name: add_unique
-- The constraint takes over the index that is there, and gives it its name.
ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {index} {deferrable};

-- name: drop_column
-- Its values go with it.
ALTER TABLE {table} DROP COLUMN IF EXISTS {column};
