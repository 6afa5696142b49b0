-- name: rows
-- Of all looks into large tables, how many came through an index; and which tables they read whole.
WITH large AS (
    SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS name, pg_stat_get_numscans(t.oid) AS seq_scans,
           coalesce((SELECT sum(pg_stat_get_numscans(i.indexrelid)) FROM pg_index i WHERE i.indrelid = t.oid), 0) AS index_scans
    FROM pg_class t
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE t.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND pg_stat_get_live_tuples(t.oid) >= %(rows_min)s
)
SELECT sum(seq_scans)::bigint AS seq_scans, sum(index_scans)::bigint AS index_scans,
       (array_agg(name ORDER BY seq_scans DESC))[1:5] AS most_read_whole
FROM large
HAVING sum(seq_scans + index_scans) >= %(scans_min)s
   AND sum(index_scans) < %(part_min)s * sum(seq_scans + index_scans);
