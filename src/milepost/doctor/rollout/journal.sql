-- name: make_schema
-- The doctor's own schema in the database that it was told to change; others of its tables may be there.
CREATE SCHEMA IF NOT EXISTS milepost_doctor;

-- name: make_rollout
-- One row a run of a change. The digest is of its operations: the same file goes on, another one has to wait.
CREATE TABLE IF NOT EXISTS milepost_doctor.rollout (
    rollout_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    digest text NOT NULL,
    state text NOT NULL DEFAULT 'starting'
        CONSTRAINT rollout_state CHECK (state IN ('starting', 'held', 'completing', 'completed', 'rolling_back', 'rolled_back')),
    error text,
    begun_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- name: make_one_at_a_time
-- The table holds it, whatever processes think: at most one change is under way.
CREATE UNIQUE INDEX IF NOT EXISTS rollout_one_at_a_time ON milepost_doctor.rollout ((true))
    WHERE state NOT IN ('completed', 'rolled_back');

-- name: make_operation
-- Where each operation is, and what it has to remember to go on or to be taken back (the definition of a dropped index).
CREATE TABLE IF NOT EXISTS milepost_doctor.rollout_operation (
    rollout_id bigint NOT NULL REFERENCES milepost_doctor.rollout ON DELETE CASCADE,
    position integer NOT NULL,
    operation jsonb NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CONSTRAINT rollout_operation_state CHECK (
            state IN ('pending', 'starting', 'started', 'completing', 'completed', 'rolling_back', 'rolled_back')),
    step text,
    memory jsonb NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (rollout_id, position)
);

-- name: is_there
-- Looking must not make anything.
SELECT to_regclass('milepost_doctor.rollout') IS NOT NULL AND to_regclass('milepost_doctor.rollout_operation') IS NOT NULL;

-- name: newest
-- The change under way, else the last one. %(digest)s: only of this content, or null.
SELECT rollout_id, name, digest, state, error, begun_at, changed_at
FROM milepost_doctor.rollout
WHERE %(digest)s::text IS NULL OR digest = %(digest)s
ORDER BY state NOT IN ('completed', 'rolled_back') DESC, rollout_id DESC
LIMIT 1;

-- name: operations
-- Of one change, in order.
SELECT position, operation, state, step, memory, changed_at
FROM milepost_doctor.rollout_operation WHERE rollout_id = %(rollout_id)s ORDER BY position;

-- name: begin
-- The change and its operations in one statement, so that no half of it can be there.
WITH made AS (
    INSERT INTO milepost_doctor.rollout (name, digest) VALUES (%(name)s, %(digest)s) RETURNING rollout_id
), listed AS (
    INSERT INTO milepost_doctor.rollout_operation (rollout_id, position, operation)
    SELECT rollout_id, position, operation
    FROM made, jsonb_array_elements(%(operations)s) WITH ORDINALITY AS each (operation, position)
)
SELECT rollout_id FROM made;

-- name: set_rollout
-- An error stays until the next state that has none.
UPDATE milepost_doctor.rollout SET state = %(state)s, error = %(error)s, changed_at = now() WHERE rollout_id = %(rollout_id)s;

-- name: set_operation
-- Also when a state is entered again after a kill.
UPDATE milepost_doctor.rollout_operation SET state = %(state)s, changed_at = now()
WHERE rollout_id = %(rollout_id)s AND position = %(position)s;

-- name: remember
-- Facts are added to what is remembered, in the transaction that makes them true where there is one.
UPDATE milepost_doctor.rollout_operation
SET step = coalesce(%(step)s, step), memory = memory || %(memory)s, changed_at = now()
WHERE rollout_id = %(rollout_id)s AND position = %(position)s;
