-- name: sizes
-- Bytes of the partitions' rows and of their indexes, and how many rows there are.
SELECT sum(pg_table_size(i.inhrelid))::bigint, sum(pg_indexes_size(i.inhrelid))::bigint
FROM pg_inherits i WHERE i.inhparent = 'milepost.activity'::regclass

-- name: count
-- All tenants' activities.
SELECT count(*) FROM milepost.activity

-- name: receive
-- As they would have been received: some hundred milliseconds later, each its own.
UPDATE milepost.activity SET received_at = occurred_at + (0.05 + 0.4 * random() ^ 3) * interval '1 second'
WHERE tenant_id = %(tenant_id)s

-- name: rewrite
-- What an update leaves behind would count as bytes of rows.
VACUUM (FULL, ANALYZE) milepost.activity

-- name: cold
-- What the archive holds.
SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(bytes), 0)::bigint, count(*) FROM milepost.cold_file WHERE state = 'cold'

-- name: parts
-- A tenant's archived partitions, the newest first.
SELECT part, sum(rows)::bigint, (array_agg(high ORDER BY high DESC))[1] FROM milepost.cold_file WHERE state = 'cold' AND tenant_id = %(tenant_id)s
GROUP BY part ORDER BY 3 DESC

-- name: tenants
-- Who has activities.
SELECT tenant_id FROM milepost.tenant ORDER BY tenant_id
