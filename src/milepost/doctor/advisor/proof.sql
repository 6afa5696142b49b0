-- name: show
-- Which of the built indexes are there, until the transaction is rolled back: one that is not live is neither read nor written. No older
-- snapshot can be about here: without that said, an index over changed rows would wait for the end of this very transaction. A session
-- keeps a table's list of live indexes until the table's own row changes: so that is written, too.
WITH part AS (
  SELECT coalesce(p.relid, c.oid) AS oid, c.relname = ANY (%(shown)s::text[]) AS shown
  FROM pg_class c LEFT JOIN LATERAL pg_partition_tree(c.oid) p ON c.relkind = 'I'
  WHERE c.relname = ANY (%(all)s::text[])
), changed AS (
  UPDATE pg_index SET indcheckxmin = false, indisvalid = part.shown, indisready = part.shown, indislive = part.shown
  FROM part
  WHERE part.oid = indexrelid
  RETURNING indrelid
)
UPDATE pg_class SET relhasindex = relhasindex WHERE oid IN (SELECT indrelid FROM changed);

-- name: hot
-- Updates that this session has not reported yet, and those of them that left every index alone: a difference of two looks is a
-- statement's own.
SELECT coalesce(sum(pg_stat_get_xact_tuples_updated(oid)), 0)::bigint AS updated,
       coalesce(sum(pg_stat_get_xact_tuples_hot_updated(oid)), 0)::bigint AS hot
FROM pg_class WHERE relkind = 'r' AND relnamespace <> 'pg_catalog'::regnamespace;

-- name: sizes
-- What the built indexes really take; of a partitioned one, all its parts.
SELECT c.relname AS name, sum(pg_relation_size(coalesce(p.relid, c.oid)))::bigint AS bytes
FROM pg_class c LEFT JOIN LATERAL pg_partition_tree(c.oid) p ON c.relkind = 'I'
WHERE c.relname = ANY (%s::text[]) AND c.relkind IN ('i', 'I')
GROUP BY c.relname;

-- name: parts
-- By which names EXPLAIN calls the parts of partitioned indexes.
SELECT part.relname AS part, c.relname AS name
FROM pg_class c CROSS JOIN LATERAL pg_partition_tree(c.oid) p JOIN pg_class part ON part.oid = p.relid
WHERE c.relname = ANY (%s::text[]) AND c.relkind = 'I' AND p.isleaf;

-- name: drop
-- What was built to be measured.
DROP INDEX {names};
