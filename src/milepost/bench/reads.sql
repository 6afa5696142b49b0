-- name: busiest_groups
-- The groups with most activities: the only ones that are deep.
SELECT group_id, external_id FROM (
    SELECT group_id FROM milepost.activity WHERE tenant_id = %(tenant_id)s GROUP BY 1 ORDER BY count(*) DESC LIMIT 20
) a JOIN milepost.groups g USING (group_id) WHERE g.tenant_id = %(tenant_id)s

-- name: group_at_depth
-- The activity after so many newer ones of the group.
SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s ORDER BY id DESC OFFSET %(depth)s LIMIT 1

-- name: tenant_at_depth
-- The activity after so many newer ones of the tenant.
SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s ORDER BY id DESC OFFSET %(depth)s LIMIT 1
