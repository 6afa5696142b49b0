-- name: rows
-- Pages against what the rows would take, from the planner's statistics: 24 bytes of header, 4 of pointer, the columns rounded up to 8.
WITH sized AS MATERIALIZED (
    SELECT t.oid, n.nspname, t.relname, t.reltuples, pg_relation_size(t.oid) AS bytes,
           coalesce((SELECT split_part(o, '=', 2)::int FROM unnest(t.reloptions) o WHERE o LIKE 'fillfactor=%%'), 100) AS fillfactor
    FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND t.reltuples >= 0 AND t.relpages::bigint * %(block_bytes)s >= %(wasted_bytes_min)s
), expected AS (
    SELECT s.*, s.reltuples * (28 + ceil((w.width + 4)::numeric / 8) * 8) * 1.02 * 100 / s.fillfactor AS expected_bytes
    FROM sized s
    CROSS JOIN LATERAL (
        SELECT sum((1 - p.null_frac) * p.avg_width) AS width, count(*) AS known
        FROM pg_stats p WHERE p.schemaname = s.nspname AND p.tablename = s.relname AND NOT p.inherited
    ) w
    WHERE w.known = (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped)
)
SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS "table", bytes, expected_bytes::bigint AS expected_bytes,
       (bytes - expected_bytes)::bigint AS wasted_bytes, reltuples::bigint AS rows,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = expected.oid AND i.indisprimary) AS keyed
FROM expected
WHERE bytes - expected_bytes >= %(wasted_bytes_min)s AND bytes - expected_bytes >= %(wasted_part_min)s * bytes
ORDER BY wasted_bytes DESC
LIMIT 200;
