-- name: sizes
-- What versions take on disk, and their stored bytes alone.
SELECT pg_total_relation_size('milepost.activity_version'), coalesce(sum(octet_length(stored)), 0)::bigint
FROM milepost.activity_version
