-- name: rows
-- Slices begin at 1 and the vectors at 0, hence a slice on both sides. A B-tree whose keys are the first keys of a longer one of the same table, with the same operators, order and condition.
WITH plain AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indnkeyatts, i.indnatts, i.indisunique, i.indisreplident, i.indisprimary, i.indpred,
           i.indkey::int2[] AS keys, i.indclass::oid[] AS classes, i.indcollation::oid[] AS collations, i.indoption::int2[] AS options,
           c.relnamespace, c.relname
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND NOT c.relispartition
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    JOIN pg_am am ON am.oid = c.relam AND am.amname = 'btree'
    WHERE i.indisvalid AND i.indisready AND i.indexprs IS NULL
)
SELECT DISTINCT ON (short.indexrelid)
       quote_ident(n.nspname) || '.' || quote_ident(short.relname) AS index, long.indexrelid::regclass::text AS longer,
       pg_relation_size(short.indexrelid) AS bytes, pg_relation_size(long.indexrelid) AS longer_bytes,
       short.indrelid::regclass::text AS "table"
FROM plain short
JOIN plain long ON long.indrelid = short.indrelid AND long.indexrelid <> short.indexrelid AND long.indnkeyatts > short.indnkeyatts
JOIN pg_namespace n ON n.oid = short.relnamespace
WHERE NOT short.indisunique AND NOT short.indisreplident AND short.indnatts = short.indnkeyatts
  AND long.keys[0:short.indnkeyatts - 1] = short.keys[0:short.indnkeyatts - 1]
  AND long.classes[0:short.indnkeyatts - 1] = short.classes[0:short.indnkeyatts - 1]
  AND long.collations[0:short.indnkeyatts - 1] = short.collations[0:short.indnkeyatts - 1]
  AND long.options[0:short.indnkeyatts - 1] = short.options[0:short.indnkeyatts - 1]
  AND pg_get_expr(long.indpred, long.indrelid) IS NOT DISTINCT FROM pg_get_expr(short.indpred, short.indrelid)
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = short.indexrelid)
  AND pg_relation_size(short.indexrelid) >= %(bytes_min)s
  AND pg_relation_size(long.indexrelid) <= %(times_max)s * pg_relation_size(short.indexrelid)
ORDER BY short.indexrelid, longer_bytes
LIMIT 200;
