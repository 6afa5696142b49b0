-- Tenants. They and their keys carry no row-level security: they are read before it is known whose request it is.

-- name: create_tenant
-- On the lane with the fewest tenants, the first of those. No row: the name is taken.
INSERT INTO milepost.tenant (name, lane)
SELECT %(name)s, l.lane
FROM milepost.lane l
LEFT JOIN milepost.tenant t ON t.lane = l.lane
WHERE l.lane < %(lanes)s
GROUP BY l.lane
ORDER BY count(t.tenant_id), l.lane
LIMIT 1
ON CONFLICT (name) DO NOTHING
RETURNING tenant_id, name, lane, created_at;

-- name: find_tenant
-- One tenant by its name.
SELECT tenant_id, name, lane, created_at FROM milepost.tenant WHERE name = %(name)s;

-- name: list_tenants
-- A page of tenants in the order of their numbers, from after the last one seen.
SELECT tenant_id, name, lane, created_at FROM milepost.tenant
WHERE tenant_id > %(after)s
ORDER BY tenant_id
LIMIT %(limit)s;
