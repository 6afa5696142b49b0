-- name: build
-- A new copy beside the old one, swapped by name at the end.
REINDEX INDEX CONCURRENTLY {index};

-- name: leftovers
-- What a rebuild that was cancelled leaves: an invalid twin, named by PostgreSQL after its index, with the same columns.
SELECT n.nspname AS schema, c.relname AS name
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_index o ON o.indrelid = i.indrelid AND o.indexrelid = %(index)s AND o.indkey::text = i.indkey::text
    AND o.indclass = i.indclass AND o.indexrelid <> i.indexrelid
WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$';
