-- name: acting
-- Volatile functions of these names, and those that views of these names call, or views of theirs.
WITH RECURSIVE read (oid) AS (
    SELECT c.oid FROM unnest(%(relations)s::text[]) AS given (name) JOIN pg_class c ON c.oid = to_regclass(given.name) WHERE c.relkind = 'v'
    UNION
    SELECT d.refobjid FROM read v JOIN pg_rewrite r ON r.ev_class = v.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'v'
)
SELECT DISTINCT p.proname FROM pg_proc p WHERE p.provolatile = 'v' AND p.proname = ANY (%(functions)s)
UNION
SELECT p.proname FROM read v JOIN pg_rewrite r ON r.ev_class = v.oid
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_proc'::regclass
JOIN pg_proc p ON p.oid = d.refobjid AND p.provolatile = 'v'
ORDER BY 1;
