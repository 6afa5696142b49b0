-- name: rows
-- The whole tree of a partitioned index counts as one. What serves a constraint, an identity or a foreign key stays, read or not.
WITH top AS (
    SELECT coalesce((SELECT pg_partition_root(i.indexrelid) WHERE c.relispartition OR c.relkind = 'I'), i.indexrelid) AS oid,
           sum(pg_stat_get_numscans(i.indexrelid)) AS scans,
           sum(pg_relation_size(i.indexrelid)) FILTER (WHERE c.relkind = 'i') AS bytes,
           sum(pg_stat_get_tuples_inserted(i.indrelid) + pg_stat_get_tuples_updated(i.indrelid)
               + pg_stat_get_tuples_deleted(i.indrelid)) AS writes
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisunique AND NOT i.indisexclusion AND NOT i.indisreplident AND i.indisvalid
    GROUP BY 1
    HAVING sum(pg_stat_get_numscans(i.indexrelid)) = 0
)
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS index, c.relkind AS kind, i.indrelid::regclass::text AS "table",
       top.bytes::bigint AS bytes, top.writes::bigint AS writes
FROM top
JOIN pg_class c ON c.oid = top.oid
JOIN pg_index i ON i.indexrelid = top.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND top.bytes >= %(bytes_min)s AND top.writes >= %(writes_min)s AND %(stats_age_s)s >= %(age_s_min)s
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
  AND NOT EXISTS (
      SELECT FROM pg_constraint k
      WHERE k.conrelid = i.indrelid AND k.contype = 'f' AND i.indnkeyatts >= cardinality(k.conkey)
        AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
        AND k.conkey @> (i.indkey::int2[])[0:cardinality(k.conkey) - 1])
ORDER BY bytes DESC
LIMIT 200;
