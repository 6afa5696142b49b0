-- name: make
-- Beside the journal of rollouts, and ended with it. Of a control statement nothing is promised, nor where a sample was too small. expected: what was promised, corrected by
-- what was known by then.
CREATE TABLE IF NOT EXISTS milepost_doctor.rollout_promise (
    rollout_id bigint NOT NULL REFERENCES milepost_doctor.rollout ON DELETE CASCADE,
    finding text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    sql text,
    source text CONSTRAINT rollout_promise_source CHECK (source IN ('planner', 'proof', 'estimate')),
    promised double precision CONSTRAINT rollout_promise_promised CHECK (promised > 0),
    expected double precision,
    before double precision,
    after double precision,
    PRIMARY KEY (rollout_id, finding, name)
);

-- name: is_there
-- Looking must not make anything.
SELECT to_regclass('milepost_doctor.rollout_promise') IS NOT NULL;

-- name: add
-- Before anything is done.
INSERT INTO milepost_doctor.rollout_promise (rollout_id, finding, kind, name, sql, source, promised, expected, before)
VALUES (%(rollout_id)s, %(finding)s, %(kind)s, %(name)s, %(sql)s, %(source)s, %(promised)s, %(expected)s, %(before)s);

-- name: begun
-- A row if promises of that rollout are written down.
SELECT FROM milepost_doctor.rollout_promise WHERE rollout_id = %(rollout_id)s LIMIT 1;

-- name: statements
-- Of one rollout, with the controls, and what was measured before.
SELECT finding, kind, name, sql, source, promised, before FROM milepost_doctor.rollout_promise
WHERE rollout_id = %(rollout_id)s AND sql IS NOT NULL;

-- name: built
-- By which names plans call what a rollout built: the index of which bytes were promised, or its parts.
SELECT c.relname
FROM milepost_doctor.rollout_promise p
LEFT JOIN pg_partition_tree(to_regclass(p.name)) t ON true
JOIN pg_class c ON c.oid = coalesce(t.relid, to_regclass(p.name))
WHERE p.rollout_id = %(rollout_id)s AND p.sql IS NULL;

-- name: open
-- Of one rollout, what is still to be measured.
SELECT finding, kind, name, sql, source, promised FROM milepost_doctor.rollout_promise
WHERE rollout_id = %(rollout_id)s AND after IS NULL AND (sql IS NULL OR before IS NOT NULL);

-- name: finish
-- What came of it.
UPDATE milepost_doctor.rollout_promise SET after = %(after)s
WHERE rollout_id = %(rollout_id)s AND finding = %(finding)s AND name = %(name)s;

-- name: bytes
-- Null if it is not there; of a partitioned index, all its parts.
SELECT sum(pg_relation_size(p.oid))::float8
FROM (SELECT coalesce(t.relid, to_regclass(%(name)s)) AS oid FROM (SELECT) one LEFT JOIN pg_partition_tree(to_regclass(%(name)s)) t ON true) p;

-- name: kept
-- What was promised and measured in rollouts that were completed, the oldest first. Times are taken against those of the same rollout's control
-- statements: what changed for those has nothing to do with the cure.
SELECT p.finding, p.kind, p.name, p.source, p.promised, p.expected, p.before, p.after, r.changed_at AS at, c.ratio AS control,
       CASE WHEN p.sql IS NULL THEN p.after ELSE p.after / p.before / coalesce(c.ratio, 1) END AS measured
FROM milepost_doctor.rollout_promise p
JOIN milepost_doctor.rollout r USING (rollout_id)
LEFT JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.after / o.before) AS ratio FROM milepost_doctor.rollout_promise o
    WHERE o.rollout_id = p.rollout_id AND o.finding = p.finding AND o.source IS NULL AND o.after IS NOT NULL AND o.before IS NOT NULL
) c ON true
WHERE r.state = 'completed' AND p.promised IS NOT NULL AND p.after > 0 AND (p.sql IS NULL OR p.before > 0)
ORDER BY r.rollout_id, p.finding, p.name;
