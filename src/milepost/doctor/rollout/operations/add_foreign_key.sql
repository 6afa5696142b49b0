-- name: definition
-- As ADD CONSTRAINT wants it.
FOREIGN KEY ({columns}) REFERENCES {references} {referenced} ON DELETE {action};
