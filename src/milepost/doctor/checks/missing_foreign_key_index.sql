-- name: rows
-- An index serves a foreign key if its first columns are the key's, in whatever order, and it is whole, or leaves out only what is NULL.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", t.relkind AS kind, k.conname AS name,
       k.confrelid::regclass::text AS parent, c.columns,
       greatest(t.reltuples, pg_stat_get_live_tuples(t.oid), part.rows)::bigint AS rows,
       coalesce(part.bytes, pg_table_size(t.oid))::bigint AS bytes,
       pg_stat_get_tuples_deleted(k.confrelid) + pg_stat_get_tuples_updated(k.confrelid) AS parent_writes
FROM pg_constraint k
JOIN pg_class t ON t.oid = k.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
CROSS JOIN LATERAL (
    SELECT array_agg(quote_ident(a.attname) ORDER BY u.place) AS columns,
           array_agg('(' || quote_ident(a.attname) || ' IS NOT NULL)') AS not_null
    FROM unnest(k.conkey) WITH ORDINALITY u(number, place)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number
) c
LEFT JOIN LATERAL (
    SELECT sum(pg_table_size(p.relid)) AS bytes, sum(pg_stat_get_live_tuples(p.relid)) AS rows
    FROM pg_partition_tree(t.oid) p WHERE p.isleaf
) part ON t.relkind = 'p'
WHERE k.contype = 'f' AND k.conparentid = 0
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND greatest(t.reltuples, pg_stat_get_live_tuples(t.oid), part.rows) >= %(rows_min)s
  AND NOT EXISTS (
      SELECT FROM pg_index i
      JOIN pg_class ic ON ic.oid = i.indexrelid
      JOIN pg_am am ON am.oid = ic.relam
      WHERE i.indrelid = k.conrelid AND i.indisvalid AND am.amname IN ('btree', 'hash')
        AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
        AND k.conkey @> (i.indkey::int2[])[0:cardinality(k.conkey) - 1]
        AND i.indnkeyatts >= cardinality(k.conkey)
        AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = ANY (c.not_null)))
ORDER BY bytes DESC
LIMIT 200;
