-- name: rows
-- Those of this database can be ended from here.
SELECT gid, replace(gid, '''', '''''') AS quoted, database, owner, extract(epoch FROM now() - prepared)::float8 AS age_s
FROM pg_prepared_xacts
WHERE database = current_database() AND extract(epoch FROM now() - prepared) >= %(age_s_min)s
ORDER BY age_s DESC
LIMIT 50;
