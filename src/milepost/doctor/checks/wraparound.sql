-- name: rows
-- TOAST tables age on their own and are frozen with their table.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table",
       greatest(age(t.relfrozenxid), (SELECT age(x.relfrozenxid) FROM pg_class x WHERE x.oid = t.reltoastrelid)) AS age,
       mxid_age(t.relminmxid) AS members_age, pg_table_size(t.oid) AS bytes
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND greatest(age(t.relfrozenxid), (SELECT age(x.relfrozenxid) FROM pg_class x WHERE x.oid = t.reltoastrelid),
               mxid_age(t.relminmxid)) >= %(age_min)s
ORDER BY age DESC
LIMIT 50;
