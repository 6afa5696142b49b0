-- name: rows
-- A page of a rollup. {rows} is written out, so that the planner knows it; names are looked up after the LIMIT. With
-- all keys given the primary key serves it backwards, else the index of buckets.
SELECT t.bucket{position}{shown}{values}
FROM (
    SELECT t.* FROM {table} t
    WHERE t.tenant_id = %(tenant_id)s AND t.per = %(per)s AND t.n <> 0{where}
    ORDER BY {order}
    LIMIT {rows}
) t
{names}
ORDER BY {order}
