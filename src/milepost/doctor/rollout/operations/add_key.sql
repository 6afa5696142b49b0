-- name: has_primary
-- A table has one at most.
SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %(table)s AND contype = 'p');

-- name: add
-- Takes the index over, with its rows as they are: a moment.
ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {index};
