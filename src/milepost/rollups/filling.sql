-- name: filling
-- A row: not all of history is counted yet, or (made = false) nothing is, because an older milepost applied the model.
SELECT n.name, n.name LIKE 'column %%' OR to_regclass('milepost.' || n.name) IS NOT NULL AS made
FROM unnest(%(names)s::text[]) AS n (name)
WHERE EXISTS (SELECT FROM milepost.filling f WHERE f.tenant_id = %(tenant_id)s AND f.name = n.name)
   OR (n.name NOT LIKE 'column %%' AND to_regclass('milepost.' || n.name) IS NULL)
ORDER BY n.name
LIMIT 1
