-- name: held
-- The first hold that covers an actor's activities, or some of them.
SELECT h.hold_id FROM milepost.legal_hold h
WHERE h.tenant_id = %(tenant_id)s AND h.lifted_at IS NULL AND (h.actor IS NULL OR milepost.subject_of(h.tenant_id, h.actor) = %(subject)s)
ORDER BY h.hold_id LIMIT 1

-- name: number_of
-- Whose the hash is. A scan of the tenant's actors, once an erasure: no name stands in a command.
SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND milepost.subject_of(tenant_id, external_id) = %(subject)s

-- name: name_of
-- As others mention it.
SELECT external_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s

-- name: running
-- The erasure of this actor that is under way.
SELECT erasure_id FROM milepost.erasure
WHERE tenant_id = %(tenant_id)s AND subject = %(subject)s AND state = 'running' ORDER BY erasure_id DESC LIMIT 1

-- name: begin
-- From here on what is of before stays out.
INSERT INTO milepost.erasure (tenant_id, subject, actor_id, until, totals, asked_by)
VALUES (%(tenant_id)s, %(subject)s, %(actor)s, %(until)s, %(totals)s, %(by)s) RETURNING erasure_id

-- name: next_ids
-- Some of the actor's activities, the newest first: they are read most.
SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s ORDER BY id DESC LIMIT %(rows)s

-- name: add_removed
-- What went, added up over the steps.
UPDATE milepost.erasure SET removed = removed || jsonb_build_object(%(what)s::text, coalesce((removed ->> %(what)s::text)::bigint, 0) + %(rows)s)
WHERE tenant_id = %(tenant_id)s AND erasure_id = %(erasure)s

-- name: removed
-- All that is read is without the actor now.
UPDATE milepost.erasure SET state = 'removed' WHERE tenant_id = %(tenant_id)s AND erasure_id = %(erasure)s RETURNING removed

-- name: actor
-- The person itself: name, attributes and the name that the app knows it by.
DELETE FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s

-- name: member
-- In which groups it was.
DELETE FROM milepost.member WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s

-- name: added_by
-- Whom it added stays added, by nobody.
UPDATE milepost.member SET added_by = NULL WHERE tenant_id = %(tenant_id)s AND added_by = %(name)s

-- name: invited_by
-- Whom it invited stays invited, by nobody.
UPDATE milepost.invitation SET invited_by = NULL WHERE tenant_id = %(tenant_id)s AND invited_by = %(name)s

-- name: invitation
-- Into what it was invited.
DELETE FROM milepost.invitation WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s

-- name: follow
-- Whom it follows, and who follows it.
DELETE FROM milepost.follow WHERE tenant_id = %(tenant_id)s AND (actor_id = %(actor)s OR (kind = 0 AND target_id = %(actor)s))

-- name: read_marker
-- How far it has read.
DELETE FROM milepost.read_marker WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s

-- name: parked
-- Corrections that wait for one of its activities, or would make something its own.
DELETE FROM milepost.parked
WHERE tenant_id = %(tenant_id)s AND (command -> 'patch' ->> 'actor' = %(name)s
    OR id IN (SELECT t.id FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = parked.id AND t.current_id IS NULL))

-- name: legal_hold
-- A hold that was lifted stays on record, of nobody.
UPDATE milepost.legal_hold SET actor = '(erased)' WHERE tenant_id = %(tenant_id)s AND actor = %(name)s AND lifted_at IS NOT NULL

-- name: erased_actor
-- Its number means nobody now.
DELETE FROM milepost.erased_actor WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s

-- name: board_member
-- How it was shown on boards.
DELETE FROM milepost.board_member WHERE tenant_id = %(tenant_id)s AND member_id = %(actor)s AND board = ANY (%(boards)s)

-- name: masked_places
-- Where it stood in snapshots of boards of actors: there the others stay where they stood, and nobody stands in its place.
WITH gone AS (
    DELETE FROM milepost.snapshot_place p USING milepost.snapshot s
    WHERE s.tenant_id = %(tenant_id)s AND s.board = ANY (%(boards)s)
      AND p.tenant_id = s.tenant_id AND p.snapshot_id = s.snapshot_id AND p.member_id = %(actor)s
    RETURNING p.*
)
INSERT INTO milepost.snapshot_place (tenant_id, snapshot_id, ordinal, rank, member_id, score)
SELECT tenant_id, snapshot_id, ordinal, rank, %(nobody)s, score FROM gone

-- name: places
-- The same, one by one: in which snapshots, and where in them.
SELECT p.snapshot_id, p.ordinal, p.rank FROM milepost.snapshot s
JOIN milepost.snapshot_place p ON p.tenant_id = s.tenant_id AND p.snapshot_id = s.snapshot_id AND p.member_id = %(actor)s
WHERE s.tenant_id = %(tenant_id)s AND s.board = ANY (%(boards)s)

-- name: closed_places
-- One place goes out of a snapshot, as if it had never been in it: those behind move up, and there is one member less. All of it is
-- written anew, as nothing is ever changed in a snapshot; sorted, so that all old rows are gone before the first new one comes.
WITH head AS (
    DELETE FROM milepost.snapshot s WHERE s.tenant_id = %(tenant_id)s AND s.snapshot_id = %(snapshot)s RETURNING s.*
), behind AS (
    DELETE FROM milepost.snapshot_place p
    WHERE p.tenant_id = %(tenant_id)s AND p.snapshot_id = %(snapshot)s AND p.ordinal >= %(ordinal)s RETURNING p.*
), fewer AS (
    INSERT INTO milepost.snapshot (tenant_id, snapshot_id, board, group_id, per, bucket, name, members, kept, taken_at, expires_at)
    SELECT tenant_id, snapshot_id, board, group_id, per, bucket, name, members - 1, kept - 1, taken_at, expires_at FROM head
)
INSERT INTO milepost.snapshot_place (tenant_id, snapshot_id, ordinal, rank, member_id, score)
SELECT tenant_id, snapshot_id, ordinal - 1, rank - (rank > %(rank)s)::integer, member_id, score
FROM behind WHERE ordinal > %(ordinal)s ORDER BY ordinal

-- name: nobody
-- A number that never was and never will be an actor's: references to it count one person that nothing leads to.
SELECT -nextval(pg_get_serial_sequence('milepost.erasure', 'erasure_id'))

-- name: residue_of
-- What was kept of its own numbers.
DELETE FROM milepost.residue WHERE tenant_id = %(tenant_id)s AND name = ANY (%(names)s) AND keys @> jsonb_build_object('actor_id', %(actor)s::bigint)

-- name: residue_seen
-- It was one of those that a number counts once: now it is nobody that is.
UPDATE milepost.residue SET value = %(nobody)s::text
WHERE tenant_id = %(tenant_id)s AND what = 'actor' AND value = %(actor)s::text
