-- name: together
-- How many pages the table has here, and how many rows of one key lie in one of them. Of a column that lies in order, neighbouring keys do, too.
SELECT greatest(sum(one.pages), 1)::int AS pages,
       greatest(sum(one.rows)::float8 / greatest(sum(one.places), 1), max(1 + (one.a_page - 1) * one.correlation ^ 2))
FROM (
  SELECT pg_relation_size(tableoid) / current_setting('block_size')::int AS pages, count(*) AS rows,
         count(DISTINCT ({key}, (ctid::text::point)[0]::bigint)) AS places,
         count(*)::float8 / greatest(pg_relation_size(tableoid) / current_setting('block_size')::int, 1) AS a_page,
         coalesce((SELECT max(abs(s.correlation)) FROM pg_stats s JOIN pg_class c ON c.oid = to_regclass(%(table)s)
                   WHERE (s.schemaname, s.tablename) = (c.relnamespace::regnamespace::text, c.relname) AND quote_ident(s.attname) = %(column)s), 0) AS correlation
  FROM {table} WHERE {condition}
  GROUP BY tableoid
) one;
