-- name: rows
-- Foreign keys and checks; NOT ENFORCED ones (from 18 on) are meant not to hold, and VALIDATE refuses them.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", quote_ident(k.conname) AS name, k.conname AS bare,
       CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'check' END AS kind, pg_stat_get_live_tuples(t.oid) AS rows
FROM pg_constraint k
JOIN pg_class t ON t.oid = k.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE NOT k.convalidated AND k.contype IN ('f', 'c') AND k.conparentid = 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
  AND pg_stat_get_live_tuples(t.oid) >= %(rows_min)s
ORDER BY rows DESC
LIMIT 100;
