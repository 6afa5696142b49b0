-- name: know
-- Jobs that this database has not seen before begin with the next slot.
INSERT INTO milepost.job (name) SELECT unnest(%(names)s::text[]) ON CONFLICT (name) DO NOTHING

-- name: standings
-- What is known of each job: what an administrator set, and what became of its last slot. Attempts before it was asked for again do
-- not count.
SELECT j.name, j.first_seen_at, j.every, j.from_hour, j.to_hour, j.time_zone, j.paused, j.asked_at, l.slot,
    coalesce(s.done, false), coalesce(s.attempts, 0), s.ended_at
FROM milepost.job j
LEFT JOIN LATERAL (
    SELECT r.slot FROM milepost.job_run r WHERE r.name = j.name ORDER BY r.run_id DESC LIMIT 1
) l ON true
LEFT JOIN LATERAL (
    SELECT bool_or(r.outcome = 'done') AS done, count(*) FILTER (WHERE r.outcome IN ('failed', 'lost')) AS attempts,
        max(coalesce(r.ended_at, r.started_at)) AS ended_at
    FROM milepost.job_run r WHERE r.name = j.name AND r.slot = l.slot
) s ON true
WHERE j.name = ANY (%(names)s)

-- name: lose
-- Who has the job's lock knows that nobody else runs it: what still says so belonged to a process that died.
UPDATE milepost.job_run SET outcome = 'lost', ended_at = clock_timestamp(), error = 'The process that ran it has ended.'
WHERE name = %(name)s AND outcome = 'running'

-- name: begin
-- A run begins, and what was asked for is being done.
WITH asked AS (UPDATE milepost.job SET asked_at = NULL, asked_by = NULL WHERE name = %(name)s)
INSERT INTO milepost.job_run (name, slot, attempt, by)
SELECT %(name)s, %(slot)s, %(attempt)s, coalesce((SELECT asked_by FROM milepost.job WHERE name = %(name)s), %(by)s)
RETURNING run_id

-- name: finish
-- What became of a run.
UPDATE milepost.job_run SET outcome = %(outcome)s, ended_at = clock_timestamp(), result = %(result)s, error = %(error)s
WHERE run_id = %(run_id)s

-- name: ask
-- Asked for by hand: whoever looks next runs it. Asking again before that changes nothing.
UPDATE milepost.job SET asked_at = coalesce(asked_at, clock_timestamp()), asked_by = coalesce(asked_by, %(by)s) WHERE name = %(name)s

-- name: set
-- When a job runs, as an administrator wants it; what is NULL stays as the job says itself.
UPDATE milepost.job
SET every = %(every)s, from_hour = %(from_hour)s, to_hour = %(to_hour)s, time_zone = %(time_zone)s, paused = %(paused)s
WHERE name = %(name)s

-- name: history
-- The runs of one job or of all, newest first.
SELECT run_id, name, slot, attempt, by, started_at, ended_at, outcome, error, result
FROM milepost.job_run
WHERE (%(name)s::text IS NULL OR name = %(name)s) AND (%(before)s::bigint IS NULL OR run_id < %(before)s)
ORDER BY run_id DESC LIMIT %(limit)s

-- name: forget
-- A bounded step: old runs go, the last of each job stays.
DELETE FROM milepost.job_run WHERE run_id = ANY (ARRAY(
    SELECT r.run_id FROM milepost.job_run r
    WHERE r.started_at < clock_timestamp() - %(days)s * interval '1 day'
        AND EXISTS (SELECT FROM milepost.job_run n WHERE n.name = r.name AND n.run_id > r.run_id)
    ORDER BY r.run_id LIMIT %(rows_max)s
))
