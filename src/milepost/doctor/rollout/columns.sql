-- name: element
-- Never run: read, so that the columns within an index's element, or a condition, are found.
CREATE INDEX ON t ({element});
