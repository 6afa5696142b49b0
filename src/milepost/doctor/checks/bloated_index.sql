-- name: rows
-- Size against what a fresh B-tree would take, from the planner's statistics: one entry a row, or, with duplicates folded together, one a
-- distinct key and 6 bytes a row; whichever is less. Upper levels and page headers are some percent, which the ratio's limit covers.
WITH sized AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indkey::int2[] AS keys, i.indnatts, i.indisunique, c.relnamespace, c.relname, t.reltuples,
           pg_relation_size(i.indexrelid) AS bytes,
           coalesce((SELECT split_part(o, '=', 2)::int FROM unnest(c.reloptions) o WHERE o LIKE 'fillfactor=%%'), 90) AS fillfactor
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    JOIN pg_am am ON am.oid = c.relam AND am.amname = 'btree'
    WHERE i.indisvalid AND i.indexprs IS NULL AND i.indpred IS NULL AND t.reltuples > 0
      AND c.relpages::bigint * %(block_bytes)s >= %(wasted_bytes_min)s
), keyed AS (
    SELECT s.*, w.width, w.keys_distinct
    FROM sized s
    CROSS JOIN LATERAL (
        SELECT sum(coalesce(st.stawidth, 8)) AS width, count(st.stawidth) AS known,
               exp(sum(ln(greatest(1, CASE WHEN st.stadistinct < 0 THEN -st.stadistinct * s.reltuples ELSE st.stadistinct END))))
                   AS keys_distinct
        FROM unnest(s.keys) k(number)
        JOIN pg_attribute a ON a.attrelid = s.indrelid AND a.attnum = k.number
        LEFT JOIN LATERAL (
            SELECT p.avg_width AS stawidth, p.n_distinct AS stadistinct FROM pg_stats p
            WHERE p.schemaname = (SELECT nspname FROM pg_namespace WHERE oid = (SELECT relnamespace FROM pg_class WHERE oid = s.indrelid))
              AND p.tablename = (SELECT relname FROM pg_class WHERE oid = s.indrelid) AND p.attname = a.attname
            LIMIT 1
        ) st ON true
    ) w
    WHERE w.known = s.indnatts
), expected AS (
    SELECT k.*, 100.0 / fillfactor * least(
               reltuples * (12 + ceil((width::numeric) / 8) * 8),
               CASE WHEN indisunique THEN NULL ELSE least(keys_distinct, reltuples) * (12 + ceil(width::numeric / 8) * 8) + reltuples * 6.5 END
           ) AS expected_bytes
    FROM keyed k
)
SELECT quote_ident(n.nspname) || '.' || quote_ident(e.relname) AS index, e.indrelid::regclass::text AS "table", e.bytes,
       e.expected_bytes::bigint AS expected_bytes, (e.bytes - e.expected_bytes)::bigint AS wasted_bytes
FROM expected e
JOIN pg_namespace n ON n.oid = e.relnamespace
WHERE e.bytes - e.expected_bytes >= %(wasted_bytes_min)s AND e.bytes - e.expected_bytes >= %(wasted_part_min)s * e.bytes
ORDER BY wasted_bytes DESC
LIMIT 200;
