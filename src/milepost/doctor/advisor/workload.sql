-- name: statements
-- Where the time goes, statement by statement: the same text of several users is one. Our own looks, and those at the catalogue
-- alone, ask for no index.
SELECT 'q' || queryid AS name, min(query) AS sql, sum(calls)::float8 AS calls, (sum(rows)::float8 / nullif(sum(calls), 0)) AS rows
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND queryid IS NOT NULL
  AND query ~* '^[\s(]*(/\*.*?\*/)?[\s(]*(select|with|insert|update|delete|merge|values)\M'
  AND query !~* '\m(pg_catalog|pg_stat_|pg_class|pg_index|pg_locks|pg_namespace|pg_attribute|information_schema)'
GROUP BY queryid
ORDER BY sum(total_exec_time) DESC
LIMIT %(limit)s;
