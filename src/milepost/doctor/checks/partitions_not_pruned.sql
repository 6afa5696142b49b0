-- name: rows
-- Scans of each leaf, through whatever index: where statements are pruned, they differ much.
WITH leaves AS (
    SELECT p.partrelid AS oid, l.relid, pg_get_partkeydef(p.partrelid) AS key,
           pg_stat_get_numscans(l.relid)
           + coalesce((SELECT sum(pg_stat_get_numscans(i.indexrelid)) FROM pg_index i WHERE i.indrelid = l.relid), 0) AS scans
    FROM pg_partitioned_table p
    JOIN pg_class t ON t.oid = p.partrelid AND NOT t.relispartition
    CROSS JOIN LATERAL pg_partition_tree(p.partrelid) l
    WHERE l.isleaf AND l.relid <> p.partrelid AND pg_stat_get_live_tuples(l.relid) > 0
)
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS "table", count(*) AS partitions, min(scans)::bigint AS least,
       max(scans)::bigint AS most, min(l.key) AS key
FROM leaves l
JOIN pg_class t ON t.oid = l.oid
JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname !~ '^pg_'
GROUP BY n.nspname, t.relname
HAVING count(*) >= %(partitions_min)s AND min(scans) >= %(scans_min)s AND min(scans) >= %(part_min)s * max(scans)
ORDER BY most DESC
LIMIT 100;
