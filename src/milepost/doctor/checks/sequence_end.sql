-- name: rows
-- The end is the sequence's or its column's, whichever comes first. One that cycles has none.
WITH counted AS (
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS sequence, pg_sequence_last_value(c.oid) AS last, s.seqmax,
           o.nspname AS table_schema, t.relname AS table_name, a.attname AS column, format_type(a.atttypid, NULL) AS column_type
    FROM pg_sequence s
    JOIN pg_class c ON c.oid = s.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    LEFT JOIN pg_class t ON t.oid = d.refobjid
    LEFT JOIN pg_namespace o ON o.oid = t.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE NOT s.seqcycle AND s.seqincrement > 0 AND n.nspname !~ '^pg_'
      -- It raises for what is no sequence, whatever else the condition says.
      AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') END
), bounded AS (
    SELECT c.*, least(seqmax, CASE column_type WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 ELSE seqmax END) AS most
    FROM counted c
)
SELECT sequence, last, most, quote_ident(table_schema) || '.' || quote_ident(table_name) AS "table", "column", column_type
FROM bounded
WHERE last >= %(part_min)s * most
ORDER BY last::float8 / most DESC
LIMIT 100;
