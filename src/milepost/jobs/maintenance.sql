-- name: tenants
-- Those whose journal may need pruning.
SELECT tenant_id FROM milepost.tenant ORDER BY tenant_id;

-- name: prune_journal
-- A bounded step. By tenant, because the index that finds old rows is led by the tenant; the smallest positions are the oldest. What the
-- search index has not taken in stays.
DELETE FROM milepost.journal
WHERE tenant_id = %(tenant_id)s AND position = ANY (ARRAY(
    SELECT position FROM milepost.journal
    WHERE tenant_id = %(tenant_id)s AND loaded_at < clock_timestamp() - %(hours)s * interval '1 hour'
        AND NOT EXISTS (
            SELECT FROM milepost.search_progress p WHERE p.tenant_id = %(tenant_id)s AND p.position < journal.position
        )
    ORDER BY loaded_at
    LIMIT %(rows_max)s
));
