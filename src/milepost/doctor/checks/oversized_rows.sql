-- name: rows
-- By the size of the TOAST table, since statistics know a value that lies there as a pointer of 18 bytes.
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", greatest(pg_stat_get_live_tuples(t.oid), 1) AS rows, pg_table_size(t.reltoastrelid) AS toast_bytes,
       pg_stat_get_tuples_updated(t.oid) AS updates,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attlen = -1 AND a.attstorage IN ('x', 'e')) AS columns
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class x ON x.oid = t.reltoastrelid
WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND x.relpages::bigint * %(block_bytes)s >= 0.9 * %(bytes_min)s
  AND pg_table_size(t.reltoastrelid) >= %(bytes_min)s
  AND pg_table_size(t.reltoastrelid) >= %(row_bytes_min)s * greatest(pg_stat_get_live_tuples(t.oid), 1)
ORDER BY toast_bytes DESC
LIMIT 50;
