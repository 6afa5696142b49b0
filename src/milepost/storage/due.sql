-- name: before
-- The moments that lie so long before `now`: the model's durations are PostgreSQL's intervals.
SELECT %(now)s::timestamptz - age::interval FROM unnest(%(ages)s::text[]) WITH ORDINALITY AS a (age, n) ORDER BY n
