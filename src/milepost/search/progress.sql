-- name: progress
-- How far the tenant's index is, and of which declarations it is; and whether there is anything to index.
SELECT p.position, p.fingerprint, p.filled_to, EXISTS (SELECT FROM milepost.activity s WHERE s.tenant_id = %(tenant_id)s)
FROM (VALUES (1)) one (row) LEFT JOIN milepost.search_progress p ON p.tenant_id = %(tenant_id)s

-- name: reached
-- Where the index is, whether it covers all of history, and where the journal is.
SELECT p.position, p.filled_to = '00000000-0000-0000-0000-000000000000',
    coalesce((SELECT max(j.position) FROM milepost.journal j WHERE j.tenant_id = %(tenant_id)s), 0)
FROM (VALUES (1)) one (row) LEFT JOIN milepost.search_progress p ON p.tenant_id = %(tenant_id)s

-- name: lag
-- Of all tenants: how far the one that is furthest behind is.
SELECT milepost.search_lag()
