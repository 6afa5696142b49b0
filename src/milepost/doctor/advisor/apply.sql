-- name: is_valid
-- A concurrent build that was cancelled leaves an index that is not valid, and IF NOT EXISTS would call it done.
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s);
