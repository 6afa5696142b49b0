-- name: rows
-- Two are the same if they have the same columns, operators, collations, directions, expressions and condition. Of them stays what a
-- constraint needs (asked as a set: there is no index to ask for each), then what is unique, then the oldest.
WITH whole AS MATERIALIZED (
    SELECT i.*, c.relnamespace, c.relname, c.relam,
           row_number() OVER same AS place, first_value(i.indexrelid) OVER same AS kept
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND NOT c.relispartition
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    WHERE i.indisvalid AND i.indisready
    WINDOW same AS (
        PARTITION BY i.indrelid, c.relam, i.indnkeyatts, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text,
                     pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)
        ORDER BY (i.indexrelid IN (SELECT k.conindid FROM pg_constraint k)) DESC,
                 i.indisreplident DESC, i.indisunique DESC, i.indexrelid)
)
SELECT quote_ident(n.nspname) || '.' || quote_ident(w.relname) AS index, w.kept::regclass::text AS kept,
       pg_relation_size(w.indexrelid) AS bytes, w.indrelid::regclass::text AS "table"
FROM whole w
JOIN pg_namespace n ON n.oid = w.relnamespace
WHERE w.place > 1 AND NOT w.indisreplident
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = w.indexrelid)
  AND pg_relation_size(w.indexrelid) >= %(bytes_min)s
ORDER BY bytes DESC
LIMIT 200;
