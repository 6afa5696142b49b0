-- name: share
-- Only planned: how many rows a partial index of this condition would hold.
SELECT FROM {table} WHERE {condition};
