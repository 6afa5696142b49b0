-- name: sizes
-- Bytes of the partitions' rows and of their indexes, and how many rows there are.
SELECT sum(pg_table_size(i.inhrelid))::bigint, sum(pg_indexes_size(i.inhrelid))::bigint
FROM pg_inherits i WHERE i.inhparent = 'milepost.activity'::regclass

-- name: cold
-- What the archive holds.
SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(bytes), 0)::bigint, count(*) FROM milepost.cold_file WHERE state = 'cold'

-- name: parts
-- A tenant's archived partitions, the newest first.
SELECT part, sum(rows)::bigint, (array_agg(high ORDER BY high DESC))[1] FROM milepost.cold_file WHERE state = 'cold' AND tenant_id = %(tenant_id)s
GROUP BY part ORDER BY 3 DESC

-- name: kept
-- A content in the store: its bytes as JSON and there, and its index.
SELECT digest, text_bytes, object_bytes, index_bytes, index_digest FROM milepost.content WHERE tenant_id = %(tenant_id)s AND digest = %(digest)s
