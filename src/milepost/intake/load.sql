-- name: begin_load
-- Whose transaction this is, and under which model: another version means that the loader must compile anew first.
SELECT set_config('milepost.tenant', %(tenant_id)s::text, true), setval('stage_n', 1, false),
    (SELECT max(version) FROM milepost.model_version)

-- name: keep_plans
-- For the rest of this transaction: plans are those of the last small load.
SELECT set_config('plan_cache_mode', 'force_generic_plan', true)

-- name: plan_anew
-- For the rest of this transaction: each statement is planned for what there is.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true)

-- name: forget_plans
-- They are of the tables as they were: what was empty has grown since.
DISCARD PLANS

-- name: durably
-- This commit must outlive a crash: the tenant's next batch may cause one.
SELECT set_config('synchronous_commit', 'on', true)

-- name: stream
-- The stream rows of activities that are addressed to several groups.
INSERT INTO milepost.activity_stream (tenant_id, group_id, audience, id)
SELECT %(tenant_id)s, unnest(more_groups), audience, id FROM delta WHERE sign > 0 AND more_groups IS NOT NULL

-- name: journal
-- What a load or a command changed, the smallest id first, for those who follow; the position is allocated here, in load order. A corrected
-- activity is named twice.
INSERT INTO milepost.journal (tenant_id, position, ids, groups, actors)
SELECT %(tenant_id)s, nextval('milepost.position'), ARRAY(SELECT id FROM delta ORDER BY id),
    ARRAY(SELECT DISTINCT group_id FROM delta WHERE group_id IS NOT NULL), ARRAY(SELECT DISTINCT actor_id FROM delta)
RETURNING position

-- name: fresh_by_batch
-- How many of each batch's activities were new; bounds: the first stage number of each batch. Asked only where some were not.
SELECT width_bucket(s.n, %(bounds)s::bigint[]), count(*)
FROM (SELECT DISTINCT ON (id) id, n FROM stage ORDER BY id, n) s
JOIN delta d ON d.id = s.id AND d.sign > 0
GROUP BY 1

-- name: remove_rows
-- Activities that are retracted or will be written anew, with their stream rows.
WITH gone AS (DELETE FROM milepost.activity_stream WHERE tenant_id = %(tenant_id)s AND id = ANY (%(old_ids)s))
DELETE FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id = ANY (%(old_ids)s)

-- name: moved
-- The version and public id of corrected rows.
INSERT INTO moved (id, version, public_id)
SELECT * FROM unnest(%(ids)s::uuid[], %(versions)s::integer[], %(public_ids)s::uuid[])

-- name: blocked
-- Which of these ids belong to another activity, or did.
SELECT i.id FROM unnest(%(ids)s::uuid[], %(old_ids)s::uuid[]) AS i (id, old_id)
WHERE i.id <> i.old_id AND (
    EXISTS (SELECT FROM milepost.activity a WHERE a.tenant_id = %(tenant_id)s AND a.id = i.id)
    OR EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = i.id
               AND t.current_id IS DISTINCT FROM i.old_id))

-- name: bury
-- Ids that must never be counted again. All earlier ids of an activity follow it to where it is now.
WITH moves AS (
    SELECT * FROM unnest(%(old_ids)s::uuid[], %(new_ids)s::uuid[]) AS m (old_id, new_id) WHERE old_id IS DISTINCT FROM new_id
), followed AS (
    UPDATE milepost.tombstone t SET current_id = m.new_id
    FROM moves m WHERE t.tenant_id = %(tenant_id)s AND t.current_id = m.old_id AND t.id IS DISTINCT FROM m.new_id
), unburied AS (
    DELETE FROM milepost.tombstone t USING moves m WHERE t.tenant_id = %(tenant_id)s AND t.id = m.new_id
)
INSERT INTO milepost.tombstone (tenant_id, id, current_id)
SELECT %(tenant_id)s, old_id, new_id FROM moves

-- name: delta_count
-- How many activities a change re-attributes.
SELECT count(*) FROM delta

-- name: flip
-- The same activities again, now under the changed history.
UPDATE delta SET sign = 1

-- name: empty_delta
-- Between commands of one transaction.
DELETE FROM delta

-- name: empty_stage
-- Between commands of one transaction.
DELETE FROM stage

-- name: empty_moved
-- Between commands of one transaction.
DELETE FROM moved

-- name: horizon
-- The oldest transaction that writes: as long as it stays the same, no dead row version can be removed.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text
