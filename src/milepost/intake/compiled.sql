-- name: drop_temp
-- The session's temp tables belong to the model they were made for.
DISCARD TEMP
