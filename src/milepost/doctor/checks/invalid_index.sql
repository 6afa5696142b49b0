-- name: rows
-- What a failed or cancelled concurrent build left behind; one that is being built now is not one.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS index, i.indrelid::regclass::text AS "table",
       pg_relation_size(i.indexrelid) AS bytes, i.indisready AS written, i.indisunique AS "unique",
       c.relname ~ '_cc(new|old)[0-9]*$' AS leftover
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND n.nspname !~ '^pg_(temp|catalog)'
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid)
ORDER BY bytes DESC
LIMIT 200;
