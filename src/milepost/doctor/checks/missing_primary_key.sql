-- name: rows
-- A unique index over columns that are NOT NULL does as well. Partitions are their table's business.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", pg_stat_get_live_tuples(t.oid) AS rows, pg_table_size(t.oid) AS bytes
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind = 'r' AND NOT t.relispartition AND t.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_stat_get_live_tuples(t.oid) >= %(rows_min)s
  AND NOT EXISTS (
      SELECT FROM pg_index i
      WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
        AND NOT EXISTS (SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k(number)
                        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number AND NOT a.attnotnull))
ORDER BY rows DESC
LIMIT 100;
