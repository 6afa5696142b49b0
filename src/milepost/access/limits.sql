-- What tenants may send, and what they have sent.

-- name: set_limit
-- most: NULL for no limit, whatever the default.
INSERT INTO milepost.tenant_limit (tenant_id, name, most) VALUES (%(tenant_id)s, %(name)s, %(most)s)
ON CONFLICT (tenant_id, name) DO UPDATE SET most = excluded.most;

-- name: drop_limit
-- The default counts again.
DELETE FROM milepost.tenant_limit WHERE tenant_id = %(tenant_id)s AND name = %(name)s;

-- name: limits
-- What differs from the defaults, of several tenants at once.
SELECT tenant_id, name, most FROM milepost.tenant_limit WHERE tenant_id = ANY (%(tenant_ids)s::integer[]);

-- name: use
-- Days are UTC's. By primary key: at most 31 rows a tenant.
SELECT tenant_id,
    COALESCE(sum(activities) FILTER (WHERE day = (clock_timestamp() AT TIME ZONE 'UTC')::date), 0)::bigint,
    sum(activities)::bigint
FROM milepost.tenant_use
WHERE tenant_id = ANY (%(tenant_ids)s::integer[])
    AND day >= date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')::date
GROUP BY tenant_id;
