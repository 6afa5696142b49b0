-- name: unhurried
-- For this transaction alone: a goal's own statement goes through all that may count, which takes as long as it takes; and
-- all of its rows are wanted, where a cursor's plan is made for the first tenth.
SELECT set_config('statement_timeout', '0', true), set_config('cursor_tuple_fraction', '1', true)
