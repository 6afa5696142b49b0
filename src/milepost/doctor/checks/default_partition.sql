-- name: rows
-- Only beside other partitions: a DEFAULT one alone is a choice.
SELECT quote_ident(dn.nspname) || '.' || quote_ident(d.relname) AS partition, quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table",
       pg_stat_get_live_tuples(d.oid) AS rows, pg_table_size(d.oid) AS bytes,
       (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = t.oid) AS partitions
FROM pg_partitioned_table p
JOIN pg_class t ON t.oid = p.partrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class d ON d.oid = p.partdefid
JOIN pg_namespace dn ON dn.oid = d.relnamespace
WHERE p.partdefid <> 0 AND pg_stat_get_live_tuples(d.oid) >= %(rows_min)s AND n.nspname !~ '^pg_'
  AND (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = t.oid) > 1
ORDER BY rows DESC
LIMIT 100;
