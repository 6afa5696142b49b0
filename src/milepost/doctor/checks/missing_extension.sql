-- name: rows
-- A library that is loaded and an extension that is not created give nothing to see.
SELECT current_setting('shared_preload_libraries') AS libraries,
       current_setting('shared_preload_libraries') LIKE '%%pg_stat_statements%%' AS preloaded
WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AND %(database_bytes)s >= %(database_bytes_min)s;
