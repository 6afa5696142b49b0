-- name: views
-- The materialized views that were asked for, each with those it reads, directly or through other views; whether it has been filled;
-- whether an index lets it be refreshed beside its readers; and when that last worked.
WITH RECURSIVE reads AS (
    SELECT DISTINCT r.ev_class AS view, d.refobjid AS read
    FROM pg_rewrite r
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid <> r.ev_class
    JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')
), through AS (
    SELECT view, read FROM reads
    UNION
    SELECT t.view, r.read FROM through t JOIN reads r ON r.view = t.read
)
SELECT format('%%I.%%I', n.nspname, c.relname), c.relispopulated,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
            AND i.indexprs IS NULL),
    ARRAY(SELECT format('%%I.%%I', rn.nspname, rc.relname) FROM through t JOIN pg_class rc ON rc.oid = t.read AND rc.relkind = 'm'
          JOIN pg_namespace rn ON rn.oid = rc.relnamespace WHERE t.view = c.oid ORDER BY 1),
    extract(epoch FROM clock_timestamp() - v.refreshed_at)::float8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN milepost.refreshed_view v ON v.view = format('%%I.%%I', n.nspname, c.relname)
WHERE c.relkind = 'm' AND (n.nspname || '.' || c.relname = ANY (%(names)s) OR n.nspname || '.*' = ANY (%(names)s))
ORDER BY 1

-- name: note
-- What became of a refresh. One that failed leaves the last time that it worked.
INSERT INTO milepost.refreshed_view (view, refreshed_at, took_s, error, failed_at)
VALUES (%(view)s, CASE WHEN %(error)s::text IS NULL THEN clock_timestamp() END, %(took_s)s, %(error)s,
    CASE WHEN %(error)s::text IS NOT NULL THEN clock_timestamp() END)
ON CONFLICT (view) DO UPDATE SET refreshed_at = coalesce(excluded.refreshed_at, refreshed_view.refreshed_at),
    took_s = excluded.took_s, error = excluded.error, failed_at = excluded.failed_at
