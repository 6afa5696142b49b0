-- Reading boards. {table} is a board's table of members, {table}_range its counted ranges; {member} is the column of who is ranked.

-- name: group_here
-- A group and its zone at a moment; NULL: the model's.
SELECT g.group_id, s.time_zone
FROM milepost.groups g
LEFT JOIN LATERAL (
    SELECT s.time_zone FROM milepost.group_span s
    WHERE s.tenant_id = g.tenant_id AND s.group_id = g.group_id AND s.since <= %(now)s AND s.until > %(now)s
    ORDER BY s.since DESC
    LIMIT 1
) s ON true
WHERE g.tenant_id = %(tenant_id)s AND g.external_id = %(group)s

-- name: before
-- Part of others: how many of a ranking stand before a key `k`, in the bucket that `k` has. Whole upper ranges, whole lower ranges
-- within the upper one that holds it, and what is left by the index: no more than one lower range, of bounded size.
SELECT coalesce((
        SELECT sum(r.n) FROM {table}_range r
        WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.bucket = k.bucket AND r.group_id = %(group_id)s
          AND r.level = 1 AND (r.place, r.tie, r.member) < (u.place, u.tie, u.member)
    ), 0) + coalesce((
        SELECT sum(r.n) FROM {table}_range r
        WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.bucket = k.bucket AND r.group_id = %(group_id)s
          AND r.level = 0 AND (r.place, r.tie, r.member) >= (u.place, u.tie, u.member)
          AND (r.place, r.tie, r.member) < (l.place, l.tie, l.member)
    ), 0) + (
        SELECT count(*) FROM {table} t
        WHERE t.tenant_id = %(tenant_id)s AND t.per = %(per)s AND t.bucket = k.bucket AND t.group_id = %(group_id)s
          AND (t.place, t.tie, t.{member}) >= (l.place, l.tie, l.member)
          AND (t.place, t.tie, t.{member}) < (k.place, k.tie, k.member)
    ) AS n
FROM (
    SELECT coalesce(max(r.place), -9223372036854775808) AS place, coalesce(max(r.tie), -9223372036854775808) AS tie, coalesce(max(r.member), 0) AS member
    FROM (
        SELECT r.place, r.tie, r.member FROM {table}_range r
        WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.bucket = k.bucket AND r.group_id = %(group_id)s
          AND r.level = 1 AND (r.place, r.tie, r.member) <= (k.place, k.tie, k.member)
        ORDER BY r.place DESC, r.tie DESC, r.member DESC LIMIT 1
    ) r
) u
CROSS JOIN LATERAL (
    SELECT coalesce(max(r.place), -9223372036854775808) AS place, coalesce(max(r.tie), -9223372036854775808) AS tie, coalesce(max(r.member), 0) AS member
    FROM (
        SELECT r.place, r.tie, r.member FROM {table}_range r
        WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.bucket = k.bucket AND r.group_id = %(group_id)s
          AND r.level = 0 AND (r.place, r.tie, r.member) <= (k.place, k.tie, k.member)
        ORDER BY r.place DESC, r.tie DESC, r.member DESC LIMIT 1
    ) r
) l

-- name: moved
-- Part of others: how many had a better rank in the window before than `p` had; NULL where it had none. A look-up of its row there,
-- and then a rank as any other.
SELECT (
    SELECT b.n FROM (SELECT w.bucket, w.place, {tie w} AS tie, 0 AS member) k CROSS JOIN LATERAL ({before}) b
) AS n
FROM {table} w
WHERE w.tenant_id = %(tenant_id)s AND w.group_id = %(group_id)s AND w.{member} = p.member AND w.per = %(per)s
  AND w.bucket = %(previous)s AND w.place IS NOT NULL

-- name: since
-- Part of others: how many had a better rank than `p` in a snapshot; NULL where it has no place there.
SELECT s.rank - 1 FROM milepost.snapshot_place s
WHERE s.tenant_id = %(tenant_id)s AND s.snapshot_id = %(against_id)s AND s.member_id = p.member

-- name: members
-- How many take a rank, where no row says it; counted with the ranges.
SELECT r.n FROM {table}_range r
WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.bucket = %(bucket)s AND r.group_id = %(group_id)s AND r.level = 2

-- name: page
-- A page of a ranking, from a key on ({after} leaves it out at the top), with how many stand before its first, who has no better
-- rank than those. One statement, so one snapshot: no rank is of another moment than its neighbour's.
WITH page AS MATERIALIZED (
    SELECT t.place, t.tie, t.{member} AS member FROM {table} t
    WHERE t.tenant_id = %(tenant_id)s AND t.per = %(per)s AND t.bucket = %(bucket)s AND t.group_id = %(group_id)s
      AND t.place IS NOT NULL{after}
    ORDER BY t.place, t.tie, t.{member}
    LIMIT {rows}
)
SELECT p.place, p.tie, p.member, {shown}, p.place * {units}, {movement}, {ordinal}, {better},
    (
        SELECT r.n FROM {table}_range r
        WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.bucket = %(bucket)s AND r.group_id = %(group_id)s AND r.level = 2
    )
FROM page p
JOIN {names} a ON a.tenant_id = %(tenant_id)s AND a.{number} = p.member
ORDER BY p.place, p.tie, p.member

-- name: ordinal
-- Part of a page: how many stand before its first row.
(SELECT b.n FROM (SELECT %(bucket)s::timestamp AS bucket, f.place, f.tie, f.member FROM page f
    ORDER BY f.place, f.tie, f.member LIMIT 1) k CROSS JOIN LATERAL ({before}) b)

-- name: better
-- Part of a page: how many have a better rank than its first row.
(SELECT b.n FROM (SELECT %(bucket)s::timestamp AS bucket, f.place, {tie f} AS tie, 0 AS member FROM page f
    ORDER BY f.place, f.tie, f.member LIMIT 1) k CROSS JOIN LATERAL ({before}) b)

-- name: standing
-- One member's place and its neighbours', at most {around} on each side, in one statement, so in one snapshot. Of a member that has
-- no rank there is no row. `near` is where the ladder begins that its ranks are counted from; `next` who is next better, which with
-- equal ranks may be further off than a neighbour.
WITH me AS MATERIALIZED (
    SELECT t.place, t.tie, t.{member} AS member FROM {table} t
    WHERE t.tenant_id = %(tenant_id)s AND t.group_id = %(group_id)s AND t.per = %(per)s AND t.bucket = %(bucket)s
      AND t.place IS NOT NULL AND t.{member} = (
          SELECT a.{number} FROM {names} a WHERE a.tenant_id = %(tenant_id)s AND a.external_id = %(member)s
      )
), page AS MATERIALIZED (
    SELECT b.place, b.tie, b.member FROM me CROSS JOIN LATERAL (
        SELECT t.place, t.tie, t.{member} AS member FROM {table} t
        WHERE t.tenant_id = %(tenant_id)s AND t.per = %(per)s AND t.bucket = %(bucket)s AND t.group_id = %(group_id)s
          AND (t.place, t.tie, t.{member}) < (me.place, me.tie, me.member)
        ORDER BY t.place DESC, t.tie DESC, t.{member} DESC
        LIMIT {around}
    ) b
    UNION ALL
    SELECT me.place, me.tie, me.member FROM me
    UNION ALL
    SELECT b.place, b.tie, b.member FROM me CROSS JOIN LATERAL (
        SELECT t.place, t.tie, t.{member} AS member FROM {table} t
        WHERE t.tenant_id = %(tenant_id)s AND t.per = %(per)s AND t.bucket = %(bucket)s AND t.group_id = %(group_id)s
          AND (t.place, t.tie, t.{member}) > (me.place, me.tie, me.member)
        ORDER BY t.place, t.tie, t.{member}
        LIMIT {around}
    ) b
)
SELECT p.place, p.tie, p.member, {shown}, p.place * {units}, {movement}, {ordinal}, {better},
    (
        SELECT r.n FROM {table}_range r
        WHERE r.tenant_id = %(tenant_id)s AND r.per = %(per)s AND r.bucket = %(bucket)s AND r.group_id = %(group_id)s AND r.level = 2
    ),
    (SELECT n.place * {units} FROM me CROSS JOIN LATERAL (
        SELECT t.place FROM {table} t
        WHERE t.tenant_id = %(tenant_id)s AND t.per = %(per)s AND t.bucket = %(bucket)s AND t.group_id = %(group_id)s
          AND (t.place, t.tie, t.{member}) < (me.place, {tie me}, 0)
        ORDER BY t.place DESC, t.tie DESC, t.{member} DESC
        LIMIT 1
    ) n), (SELECT me.member FROM me)
FROM page p
JOIN {names} a ON a.tenant_id = %(tenant_id)s AND a.{number} = p.member
ORDER BY p.place, p.tie, p.member

-- name: among
-- Those of some members that have a rank, in the order of the board, each with how many have a better one: their places are looked up
-- all, ranks are counted for the page alone.
WITH page AS MATERIALIZED (
    SELECT t.place, t.tie, t.member FROM ({members}) k (member)
    CROSS JOIN LATERAL (
        SELECT t.place, t.tie, t.{member} AS member FROM {table} t
        WHERE t.tenant_id = %(tenant_id)s AND t.group_id = %(group_id)s AND t.{member} = k.member AND t.per = %(per)s
          AND t.bucket = %(bucket)s AND t.place IS NOT NULL
    ) t
    WHERE true{after}
    ORDER BY t.place, t.tie, t.member
    LIMIT {rows}
)
SELECT p.place, p.tie, p.member, {shown}, p.place * {units}, {movement},
    (SELECT b.n FROM (SELECT %(bucket)s::timestamp AS bucket, p.place, {tie p} AS tie, 0 AS member) k
        CROSS JOIN LATERAL ({before}) b)
FROM page p
JOIN {names} a ON a.tenant_id = %(tenant_id)s AND a.{number} = p.member
ORDER BY p.place, p.tie, p.member

-- name: friends
-- Part of others: an actor, and the actors it follows.
SELECT %(of)s::bigint UNION SELECT f.target_id FROM milepost.follow f
WHERE f.tenant_id = %(tenant_id)s AND f.actor_id = %(of)s AND f.kind = 0

-- name: followed
-- Part of others: the groups that an actor follows.
SELECT f.target_id FROM milepost.follow f
WHERE f.tenant_id = %(tenant_id)s AND f.actor_id = %(of)s AND f.kind = 1

-- name: named
-- Part of others: members by name.
SELECT n.{number} FROM {names} n WHERE n.tenant_id = %(tenant_id)s AND n.external_id = ANY (%(members)s::text[])

-- name: unmasked_actor
-- Part of others: the name of who is ranked, but NULL where it is masked and neither the viewer nor in a group that the viewer may read.
-- Who is hidden is on no board, but may be in a snapshot from before: there it is masked.
CASE WHEN p.member = %(viewer_id)s OR NOT EXISTS (
    SELECT FROM milepost.board_member h
    WHERE h.tenant_id = %(tenant_id)s AND h.board = %(board)s AND h.member_id = p.member
) OR EXISTS (
    SELECT FROM milepost.member m
    JOIN milepost.group_reach r ON r.tenant_id = m.tenant_id AND r.group_id = m.group_id
      AND r.ancestor_id = ANY (%(viewer_roots)s::bigint[]) AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s
    WHERE m.tenant_id = %(tenant_id)s AND m.actor_id = p.member AND m.since <= %(viewer_at)s AND m.until > %(viewer_at)s
) THEN a.external_id END

-- name: unmasked_group
-- Part of others: the same of a group.
CASE WHEN NOT EXISTS (
    SELECT FROM milepost.board_member h
    WHERE h.tenant_id = %(tenant_id)s AND h.board = %(board)s AND h.member_id = p.member
) OR EXISTS (
    SELECT FROM milepost.group_reach r
    WHERE r.tenant_id = %(tenant_id)s AND r.group_id = p.member AND r.ancestor_id = ANY (%(viewer_roots)s::bigint[])
      AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s
) THEN a.external_id END
