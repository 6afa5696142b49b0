-- name: rows
-- The catalogue does not keep when a view was refreshed; its file, and those of its sources, keep when they were written (at the last
-- checkpoint, in whole seconds). Of several sources the one that was written last.
WITH views AS (
    SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS name, r.oid AS rule, pg_table_size(t.oid) AS bytes,
           (pg_stat_file(pg_relation_filepath(t.oid), true)).modification AS written,
           EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)
               AS "unique"
    FROM pg_class t
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_rewrite r ON r.ev_class = t.oid
    WHERE t.relkind = 'm' AND t.relispopulated AND n.nspname !~ '^pg_'
)
SELECT DISTINCT ON (v.name) v.name AS view, extract(epoch FROM now() - v.written)::float8 AS age_s, v."unique", v.bytes,
       s.oid::regclass::text AS source,
       pg_stat_get_tuples_inserted(s.oid) + pg_stat_get_tuples_updated(s.oid) + pg_stat_get_tuples_deleted(s.oid) AS changed
FROM views v
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = v.rule AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid
JOIN pg_class s ON s.oid = d.refobjid AND s.relkind IN ('r', 'm')
CROSS JOIN LATERAL (SELECT (pg_stat_file(pg_relation_filepath(s.oid), true)).modification AS written) f
WHERE extract(epoch FROM now() - v.written) >= %(age_s_min)s AND f.written > v.written + make_interval(secs => %(age_s_min)s / 2)
  AND pg_stat_get_tuples_inserted(s.oid) + pg_stat_get_tuples_updated(s.oid) + pg_stat_get_tuples_deleted(s.oid) >= %(changed_min)s
ORDER BY v.name, f.written DESC
LIMIT 50;
