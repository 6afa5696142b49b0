-- name: show
-- Which of the built indexes are there, until the transaction is rolled back: one that is not live is neither read nor written. No older
-- snapshot can be about here: without that said, an index over changed rows would wait for the end of this very transaction. A session
-- keeps a table's list of live indexes until the table's own row changes: so that is written, too.
WITH changed AS (
  UPDATE pg_index SET indcheckxmin = false, indisvalid = relname = ANY (%(shown)s::text[]),
         indisready = relname = ANY (%(shown)s::text[]), indislive = relname = ANY (%(shown)s::text[])
  FROM pg_class c
  WHERE c.oid = indexrelid AND relname = ANY (%(all)s::text[])
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
-- What the built indexes really take.
SELECT relname AS name, pg_relation_size(oid)::bigint AS bytes FROM pg_class WHERE relname = ANY (%s::text[]) AND relkind = 'i';

-- name: drop
-- What was built to be measured.
DROP INDEX {names};
