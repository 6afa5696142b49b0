-- name: tenants
-- All that a sample may be drawn of.
SELECT name FROM milepost.tenant ORDER BY name
