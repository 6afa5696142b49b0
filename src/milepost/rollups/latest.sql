-- name: rows
-- A page of a latest table, in the order of its primary key. {rows} is written out, so that the planner knows it.
SELECT {position}{shown}, t.id, t.occurred_at{values}
FROM (
    SELECT t.* FROM {table} t
    WHERE t.tenant_id = %(tenant_id)s{where}
    ORDER BY {order}
    LIMIT {rows}
) t
{names}
ORDER BY {order}
