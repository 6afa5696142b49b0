-- name: rows
-- Bounds as the catalogue prints them, in the order of their lower ones; of tables with one key and no DEFAULT partition. Times print in
-- an order that sorts as text, numbers are sorted as such. Milepost's own activities are left out, known by their key: a load makes the
-- partitions that it needs, of any time (milepost.storage.partitions), so years that nothing is of stay without one.
WITH tables AS (
    SELECT p.partrelid AS oid, n.nspname, t.relname, quote_ident(n.nspname) || '.' || quote_ident(t.relname) AS name, a.atttypid AS type
    FROM pg_partitioned_table p
    JOIN pg_class t ON t.oid = p.partrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partstrat = 'r' AND p.partnatts = 1 AND p.partdefid = 0 AND n.nspname !~ '^pg_'
      AND (n.nspname, t.relname, a.attname, a.atttypid) <> ('milepost', 'activity', 'id', 'uuid'::regtype)
), bounds AS (
    SELECT t.*, (regexp_match(b.said, 'FROM \((.*)\) TO \((.*)\)'))[1] AS lower,
           (regexp_match(b.said, 'FROM \((.*)\) TO \((.*)\)'))[2] AS upper
    FROM tables t
    JOIN pg_inherits h ON h.inhparent = t.oid
    JOIN pg_class c ON c.oid = h.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS said) b
), ordered AS (
    SELECT b.*, lead(b.lower) OVER places AS next_lower, count(*) OVER (PARTITION BY b.oid) AS partitions
    FROM bounds b
    WINDOW places AS (
        PARTITION BY b.oid
        ORDER BY (b.lower = 'MINVALUE') DESC,
                 CASE WHEN b.lower ~ '^''?-?[0-9.]+''?$' THEN trim(b.lower, '''')::numeric END, b.lower COLLATE "C")
), ends AS (
    SELECT o.*, extract(epoch FROM trim(o.upper, '''')::timestamptz - now())::float8 AS left_s
    FROM ordered o
    WHERE o.next_lower IS NULL AND o.type IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
      AND o.upper NOT IN ('MAXVALUE', '''infinity''')
)
SELECT 'gap' AS kind, name AS "table", upper, next_lower AS lower, partitions, NULL::float8 AS left_s, ARRAY[upper, next_lower] AS bounds
FROM ordered
WHERE next_lower IS NOT NULL AND upper <> next_lower
UNION ALL
SELECT 'end', name, upper, NULL, partitions, left_s, b.bounds
FROM ends e
CROSS JOIN LATERAL (
    -- As wide as the last one (a month stays a month; of one without a beginning, a month), until the limit is kept with one to spare.
    SELECT array_agg(CASE e.type WHEN 'date'::regtype THEN a.at::date::text WHEN 'timestamptz'::regtype THEN a.at::timestamptz::text
                     ELSE a.at::text END ORDER BY a.at) AS bounds
    FROM (SELECT trim(e.upper, '''')::timestamptz::timestamp AS last) l
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.lower IN ('MINVALUE', '''-infinity''') THEN interval '1 month'
               ELSE age(l.last, trim(e.lower, '''')::timestamptz::timestamp) END AS width) w
    CROSS JOIN LATERAL (
        SELECT at FROM generate_series(
            l.last, greatest(l.last, now()::timestamp + %(ahead_s_min)s * interval '1 s') + 2 * w.width, w.width) at
        ORDER BY at LIMIT 100) a
) b
WHERE left_s < %(ahead_s_min)s AND left_s > -366 * 86400
LIMIT 100;
