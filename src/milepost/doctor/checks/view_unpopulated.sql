-- name: rows
-- One that is being refreshed for the first time is locked, and its row still says so.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS view
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind = 'm' AND NOT t.relispopulated AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = t.oid AND l.mode = 'AccessExclusiveLock')
ORDER BY 1
LIMIT 50;
