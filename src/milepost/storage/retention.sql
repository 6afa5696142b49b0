-- name: before
-- The moments that lie so long before `now`: durations are PostgreSQL's intervals. NULL: for ever.
SELECT %(now)s::timestamptz - age::interval FROM unnest(%(ages)s::text[]) WITH ORDINALITY AS a (age, n) ORDER BY n

-- name: rules
-- What administrators set.
SELECT name, delete_after FROM milepost.retention_rule WHERE tenant_id = %(tenant_id)s

-- name: shorter
-- Whether a duration is no longer than another, as of now.
SELECT now() - %(wanted)s::interval >= now() - %(most)s::interval, %(wanted)s::interval > interval '0'

-- name: put_rule
-- An administrator's word on one rule; the last one holds.
INSERT INTO milepost.retention_rule (tenant_id, name, delete_after, set_by) VALUES (%(tenant_id)s, %(name)s, %(delete_after)s, %(by)s)
ON CONFLICT (tenant_id, name) DO UPDATE SET delete_after = excluded.delete_after, set_at = excluded.set_at, set_by = excluded.set_by

-- name: drop_rule
-- Back to what the model says.
DELETE FROM milepost.retention_rule WHERE tenant_id = %(tenant_id)s AND name = %(name)s

-- name: window
-- Of the next rows by id those that are due, and the last id that was looked at: so what stays is passed over once a run. Milestones stay
-- as long as they are reached. By `last change` an activity is as old as what came last of its object, and as when it was received.
WITH looked AS MATERIALIZED (
    SELECT s.id, s.verb, s.occurred_at, s.received_at, s.object_kind, s.object_id, (({selected}) AND NOT {held}) IS TRUE AS selected
    FROM ({rows}) s
), due AS (
    SELECT s.id, s.verb, s.occurred_at FROM looked s
    WHERE s.selected
        AND (NOT %(by_change)s OR (s.received_at < %(before_at)s AND (s.object_id IS NULL OR NOT EXISTS (
            SELECT FROM milepost.activity o WHERE o.tenant_id = %(tenant_id)s AND o.object_kind = s.object_kind
                AND o.object_id = s.object_id AND o.id >= %(before)s)
            AND (s.object_kind || chr(31) || s.object_id) <> ALL (%(busy)s))))
), each AS (
    SELECT verb, count(*) AS n FROM due GROUP BY verb
)
SELECT (SELECT coalesce(array_agg(id ORDER BY id), '{{}}') FROM due), (SELECT count(*) FROM looked),
    (SELECT id FROM looked ORDER BY id DESC LIMIT 1), (SELECT coalesce(jsonb_object_agg(verb, n), '{{}}') FROM each),
    (SELECT min(occurred_at) FROM due), (SELECT max(occurred_at) FROM due)

-- name: hot_rows
-- The next rows of PostgreSQL.
SELECT a.* FROM milepost.activity a WHERE a.tenant_id = %(tenant_id)s AND a.id >= %(low)s AND a.id < %(before)s ORDER BY a.id LIMIT %(rows)s

-- name: hot_objects
-- What they happened to.
SELECT DISTINCT s.object_kind, s.object_id FROM ({rows}) s WHERE s.object_id IS NOT NULL

-- name: cold_rows
-- Rows of the archive, without those that are in PostgreSQL again, or are gone.
SELECT a.* FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) a
WHERE NOT EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = a.id)
    AND NOT EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = a.id)

-- name: buried
-- Ids from one to another that are gone for good.
SELECT id FROM milepost.tombstone WHERE tenant_id = %(tenant_id)s AND id >= %(low)s AND id <= %(high)s AND current_id IS NULL

-- name: log
-- What went, counted, in the transaction that removed it.
INSERT INTO milepost.retention_log (tenant_id, rule, removed, verbs, first_at, last_at)
VALUES (%(tenant_id)s, %(rule)s, %(removed)s, %(verbs)s, %(first_at)s, %(last_at)s)

-- name: log_page
-- The newest first.
SELECT log_id, at, rule, removed, verbs, first_at, last_at FROM milepost.retention_log
WHERE tenant_id = %(tenant_id)s AND (%(before)s::bigint IS NULL OR log_id < %(before)s) ORDER BY log_id DESC LIMIT %(limit)s

-- name: place_hold
-- It holds from now on, for every batch that begins later.
INSERT INTO milepost.legal_hold (tenant_id, actor, group_name, verb, reason, placed_by)
VALUES (%(tenant_id)s, %(actor)s, %(group)s, %(verb)s, %(reason)s, %(by)s) RETURNING hold_id

-- name: lift_hold
-- It stays on record.
UPDATE milepost.legal_hold SET lifted_at = now(), lifted_by = %(by)s
WHERE tenant_id = %(tenant_id)s AND hold_id = %(hold_id)s AND lifted_at IS NULL

-- name: holds
-- Those that hold, or all, the newest first.
SELECT hold_id, actor, group_name, verb, reason, placed_at, placed_by, lifted_at, lifted_by FROM milepost.legal_hold
WHERE tenant_id = %(tenant_id)s AND (%(lifted)s OR lifted_at IS NULL) ORDER BY hold_id DESC LIMIT 1000
