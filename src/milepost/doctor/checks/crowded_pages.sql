-- name: rows
-- Counted from PostgreSQL 16 on. A table that already leaves room, or that has one index only, gains nothing.
SELECT s.name AS "table", s.updates, s.moved, s.hot, s.indexes
FROM (
    SELECT quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS name, u.n_tup_upd AS updates, u.n_tup_newpage_upd AS moved, u.n_tup_hot_upd AS hot,
           (SELECT count(*) FROM pg_index i WHERE i.indrelid = t.oid) AS indexes
    FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_stat_all_tables u ON u.relid = t.oid
    WHERE t.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM unnest(t.reloptions) o WHERE o LIKE 'fillfactor=%%')
      AND u.n_tup_upd >= %(updates_min)s AND u.n_tup_newpage_upd >= %(part_min)s * u.n_tup_upd
) s
WHERE s.indexes > 1
ORDER BY s.moved DESC
LIMIT 50;
