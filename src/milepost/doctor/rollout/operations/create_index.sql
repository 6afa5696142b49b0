-- name: build
-- Without IF NOT EXISTS, which reports success over an invalid index.
CREATE {unique} INDEX {concurrently} {name} ON {table} USING {method} ({columns}) {rest};

-- name: storage
-- Storage parameters of the index.
WITH ({options});
