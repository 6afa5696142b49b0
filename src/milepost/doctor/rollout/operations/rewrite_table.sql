-- name: key
-- The primary key's columns; no key: no row.
SELECT (SELECT array_agg(a.attname::text ORDER BY u.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(number, place)
        JOIN pg_attribute a ON (a.attrelid, a.attnum) = (i.indrelid, u.number) WHERE u.place <= i.indnkeyatts) AS columns
FROM pg_index i WHERE i.indrelid = %(table)s AND i.indisprimary;

-- name: make
-- Beside the table, with all that LIKE brings; indexes are made one by one.
CREATE TABLE {copy} (LIKE {table} INCLUDING ALL EXCLUDING INDEXES) USING {method} {storage} {tablespace};

-- name: tablespace
-- Where the table is, if that is said.
TABLESPACE {name};

-- name: build
-- On rows that are there it is packed as well as it can be; writes to the table write to the twin, so it is built beside them.
CREATE INDEX CONCURRENTLY {name} ON {table} USING {rest};
