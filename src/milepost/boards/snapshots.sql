-- Boards as they once stood. {table} is a board's table of members, {table}_range its counted ranges; {member} is the column of who is ranked.

-- name: take
-- Keeps rankings as they stand: {due} says which, under which name. One statement, so the ranks of one moment; a name that is taken
-- stays as it is. The best come from the score index, whose order is that of the ranks.
WITH due AS MATERIALIZED (
    {due}
), head AS (
    INSERT INTO milepost.snapshot (tenant_id, board, group_id, per, bucket, name, members, kept, taken_at, expires_at)
    SELECT %(tenant_id)s, %(board)s, d.group_id, d.per, d.bucket, d.name, r.n, least(r.n, %(top)s), %(now)s,
        coalesce(%(expires_at)s, %(now)s + %(keep)s::interval)
    FROM due d
    CROSS JOIN LATERAL (
        SELECT coalesce(max(r.n), 0) AS n FROM {table}_range r
        WHERE r.tenant_id = %(tenant_id)s AND r.per = d.per AND r.bucket = d.bucket AND r.group_id = d.group_id AND r.level = 2
    ) r
    ON CONFLICT (tenant_id, board, group_id, per, name) DO NOTHING
    RETURNING snapshot_id, group_id, per, bucket
), places AS (
    INSERT INTO milepost.snapshot_place (tenant_id, snapshot_id, ordinal, rank, member_id, score)
    SELECT %(tenant_id)s, h.snapshot_id, p.ordinal, p.rank, p.member, p.score
    FROM head h
    CROSS JOIN LATERAL (
        SELECT row_number() OVER (ORDER BY t.place, t.tie, t.member) AS ordinal, rank() OVER (ORDER BY t.place{tie}) AS rank,
            t.member, t.place * {units} AS score
        FROM (
            SELECT t.place, t.tie, t.{member} AS member FROM {table} t
            WHERE t.tenant_id = %(tenant_id)s AND t.per = h.per AND t.bucket = h.bucket AND t.group_id = h.group_id
              AND t.place IS NOT NULL
            ORDER BY t.place, t.tie, t.{member}
            LIMIT %(top)s
        ) t
    ) p
)
SELECT h.snapshot_id FROM head h

-- name: asked_for
-- What `take` keeps: one ranking, by the name that it was asked for.
SELECT %(group_id)s::bigint AS group_id, %(per)s AS per, %(bucket)s::timestamp AS bucket, %(name)s AS name

-- name: ended
-- What `take` keeps: windows of a board that ended five minutes ago or longer, each group's by its own clock, and that no snapshot is of
-- yet; at most so many at once. `per` is the span itself, or all time, which is kept as it stands when the span ends: soon after, or
-- not at all. Rows of level 2 are the boards that anybody is on.
SELECT r.group_id, r.per, r.bucket, s.name
FROM {table}_range r
LEFT JOIN LATERAL (
    SELECT g.time_zone FROM milepost.group_span g
    WHERE g.tenant_id = r.tenant_id AND g.group_id = r.group_id AND g.since <= %(now)s AND g.until > %(now)s
    ORDER BY g.since DESC LIMIT 1
) z ON true
CROSS JOIN LATERAL (
    SELECT (%(now)s - interval '5 minutes') AT TIME ZONE coalesce(z.time_zone, %(zone)s) AS local
) c
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.per = 'all' THEN date_trunc(%(span)s, c.local) - ('1 ' || %(span)s)::interval ELSE r.bucket END AS began
) e
CROSS JOIN LATERAL (SELECT %(span)s || ':' || to_char(e.began, 'YYYY-MM-DD') AS name) s
WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.level = 2 AND r.n > 0 AND r.bucket >= %(since)s
  AND e.began + ('1 ' || %(span)s)::interval BETWEEN c.local - %(late)s::interval AND c.local
  AND NOT EXISTS (
      SELECT FROM milepost.snapshot k
      WHERE k.tenant_id = r.tenant_id AND k.board = %(board)s AND k.group_id = r.group_id AND k.per = r.per AND k.name = s.name
  )
LIMIT %(most)s

-- name: by_name
-- A snapshot of a ranking.
SELECT s.snapshot_id, s.name, s.per, s.bucket, s.members, s.kept, s.taken_at, s.expires_at FROM milepost.snapshot s
WHERE s.tenant_id = %(tenant_id)s AND s.board = %(board)s AND s.group_id = %(group_id)s AND s.per = %(per)s AND s.name = %(name)s

-- name: nearest
-- The snapshot that was taken nearest to a moment: the last before it, or the first after it.
SELECT s.snapshot_id, s.name, s.per, s.bucket, s.members, s.kept, s.taken_at, s.expires_at
FROM (
    (SELECT * FROM milepost.snapshot s
     WHERE s.tenant_id = %(tenant_id)s AND s.board = %(board)s AND s.group_id = %(group_id)s AND s.per = %(per)s
       AND s.taken_at <= %(at)s
     ORDER BY s.taken_at DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM milepost.snapshot s
     WHERE s.tenant_id = %(tenant_id)s AND s.board = %(board)s AND s.group_id = %(group_id)s AND s.per = %(per)s
       AND s.taken_at > %(at)s
     ORDER BY s.taken_at LIMIT 1)
) s
ORDER BY greatest(s.taken_at - %(at)s, %(at)s - s.taken_at) LIMIT 1

-- name: listed
-- The snapshots of a ranking's window, the newest first.
SELECT s.snapshot_id, s.name, s.per, s.bucket, s.members, s.kept, s.taken_at, s.expires_at FROM milepost.snapshot s
WHERE s.tenant_id = %(tenant_id)s AND s.board = %(board)s AND s.group_id = %(group_id)s AND s.per = %(per)s
  AND (s.taken_at, s.snapshot_id) < (%(before_at)s, %(before)s)
ORDER BY s.taken_at DESC, s.snapshot_id DESC
LIMIT %(limit)s

-- name: forget
-- Snapshots, places and all.
WITH gone AS (
    DELETE FROM milepost.snapshot_place p WHERE p.tenant_id = %(tenant_id)s AND p.snapshot_id = ANY (%(numbers)s::bigint[])
)
DELETE FROM milepost.snapshot s WHERE s.tenant_id = %(tenant_id)s AND s.snapshot_id = ANY (%(numbers)s::bigint[])

-- name: expired
-- Those of a tenant whose time is over: as many as have so many places together, and at least one.
SELECT e.snapshot_id FROM (
    SELECT s.snapshot_id, sum(s.kept) OVER (ORDER BY s.expires_at, s.snapshot_id) - s.kept AS before
    FROM (
        SELECT s.snapshot_id, s.kept, s.expires_at FROM milepost.snapshot s
        WHERE s.tenant_id = %(tenant_id)s AND s.expires_at <= %(now)s ORDER BY s.expires_at, s.snapshot_id LIMIT 1000
    ) s
) e
WHERE e.before < %(places_max)s
