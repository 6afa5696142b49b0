-- name: vacuum
-- Without cutting off empty pages at the end, which would ask for ACCESS EXCLUSIVE.
VACUUM (TRUNCATE FALSE{more}) {table};
