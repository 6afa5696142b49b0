-- name: rows
-- The first column whose values are all different, as far as statistics know.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS view, greatest(t.reltuples, pg_stat_get_live_tuples(t.oid))::bigint AS rows,
       pg_table_size(t.oid) AS bytes,
       (SELECT quote_ident(p.attname) FROM pg_stats p JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = p.attname
        WHERE p.schemaname = n.nspname AND p.tablename = t.relname AND p.n_distinct = -1 AND p.null_frac = 0
        ORDER BY a.attnum LIMIT 1) AS "column"
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind = 'm' AND t.relispopulated AND n.nspname !~ '^pg_'
  AND greatest(t.reltuples, pg_stat_get_live_tuples(t.oid)) >= %(rows_min)s
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)
ORDER BY rows DESC
LIMIT 50;
