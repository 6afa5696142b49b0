-- name: sequence
-- What it is now; last is null before its first number.
SELECT format_type(s.seqtypid, NULL) AS type, s.seqmax AS maximum, pg_sequence_last_value(s.seqrelid) AS last
FROM pg_sequence s WHERE s.seqrelid = %(sequence)s;

-- name: alter
-- A maximum that was the type's own follows the type.
ALTER SEQUENCE {sequence} AS {type} {end};
