-- name: is_there
-- A name of statistics in a schema.
SELECT EXISTS (
    SELECT FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE n.nspname = %(schema)s AND s.stxname = %(name)s);

-- name: create
-- All kinds; of one expression there is one kind only.
CREATE STATISTICS {name} ON {columns} FROM {table};

-- name: analyze
-- They are empty until then.
ANALYZE {table};

-- name: drop
-- Of ours.
DROP STATISTICS IF EXISTS {name};
