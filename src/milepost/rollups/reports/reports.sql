-- name: zones
-- The local time now of a group (the model's where it has no zone of its own, or there is no group), and that zone.
SELECT %(now)s::timestamptz AT TIME ZONE z.zone, z.zone
FROM (SELECT coalesce((
    SELECT nullif(s.time_zone, '') FROM milepost.group_span s
    WHERE s.tenant_id = %(tenant_id)s AND s.group_id = %(group_id)s AND s.since <= %(now)s AND s.until > %(now)s
    ORDER BY s.since DESC
    LIMIT 1
), %(model_zone)s) AS zone) z

-- name: page
-- The rows of a report: aggregated first, then cut, and only then named. {rows} is written out, so that the planner knows it.
SELECT {position}{shown}{values}
FROM (
    SELECT * FROM (
{source}
    ) t
    WHERE true{after}
    ORDER BY {order}
    LIMIT {rows}
) t
{names}
ORDER BY {order}

-- name: compared
-- The days asked for beside as many days before them: what was there in either of them has a row.
SELECT * FROM (
{now}
) t FULL JOIN (
{before}
) b USING ({keys})

-- name: rollup
-- Rows of a rollup between two local times, summed: days (hours, where a report is of hours) are what it is made of.
SELECT %(tenant_id)s::integer AS tenant_id{keys}{bucket}{values}
FROM (
    SELECT a.*{counted}
    FROM (
        SELECT %(tenant_id)s::integer AS tenant_id{keys_of_rows}{bucket_of_rows}, sum(t.n) AS n{sums}
        FROM {table} t
        WHERE t.tenant_id = %(tenant_id)s AND t.per = '{per}' AND t.bucket >= {since} AND t.bucket < {until} AND t.n <> 0{where}
        GROUP BY {group}
    ) a{distinct}
) t

-- name: seen
-- How many different values there were in all of the time: each day knows its own, and only together are they counted once. Values that
-- are counted have rows, so a left join would do; but a full one is never made by comparing each row with each, where only indexes are
-- to be used.
FULL JOIN (
    SELECT %(tenant_id)s::integer AS tenant_id{keys_of_rows}{bucket_of_rows}, count(DISTINCT t.value) AS distinct_{what}
    FROM {table}_seen_{what} t
    WHERE t.tenant_id = %(tenant_id)s AND t.per = '{per}' AND t.bucket >= {since} AND t.bucket < {until} AND t.n <> 0{where}
    GROUP BY {group}
) {alias} USING ({using})

-- name: latest
-- Rows of a latest table, aggregated; what another verb said of their objects is looked up beside them.
SELECT %(tenant_id)s::integer AS tenant_id{keys}{values}
FROM {table} t{about}
WHERE t.tenant_id = %(tenant_id)s{where}
GROUP BY {group}

-- name: about
-- The newest activity of another verb on the same object.
LEFT JOIN milepost.about_{verb} {alias} ON {alias}.tenant_id = %(tenant_id)s AND {alias}.object_kind = t.object_kind
    AND {alias}.object_id = t.object_id

-- name: pairs
-- Pairs by when they were closed, and those that are open still, where that is asked for. A pair is of the group of its opening, and of
-- the groups that were above it then. Percentiles are of all that were closed in the time: bounded by it, and by an index on it.
SELECT %(tenant_id)s::integer AS tenant_id{keys}{bucket}{values}
FROM (
{rows}
) t{where}
GROUP BY {group}

-- name: pairs_rows
-- Of one group and those below it, of all groups, or of the tenant.
SELECT t.opened_at, t.closed_at, t.opened_by AS actor_id{group_id}, t.closed_at AT TIME ZONE {zone} AS local,
    extract(epoch FROM (t.closed_at - t.opened_at)) AS seconds
FROM {table} t{reach}
WHERE t.tenant_id = %(tenant_id)s AND {when}{where}

-- name: reach
-- The groups in which a pair counts: its own, and those above it when it was opened.
JOIN milepost.group_reach r ON r.tenant_id = %(tenant_id)s AND r.group_id = t.group_id
    AND r.since <= t.opened_at AND r.until > t.opened_at

-- name: pending
-- What members have been given and not done, counted.
SELECT %(tenant_id)s::integer AS tenant_id{keys}{values}
FROM (
    SELECT m.group_id, m.actor_id, t.object_kind, t.object_id, nullif({due}, 'infinity') AS due
    FROM milepost.member m
    JOIN milepost.given_{name} t ON t.tenant_id = %(tenant_id)s AND t.group_id = m.group_id
    WHERE m.tenant_id = %(tenant_id)s AND m.since <= %(now)s AND m.until > %(now)s{roles}{where}
      AND NOT EXISTS (
          SELECT FROM milepost.done_{name} d
          WHERE d.tenant_id = %(tenant_id)s AND d.actor_id = m.actor_id
            AND d.object_kind = t.object_kind AND d.object_id = t.object_id
          OFFSET 0)
) t
GROUP BY {group}

-- name: members
-- Memberships of now, a page of them; rows of rollups beside them are looked up for the page alone.
SELECT m.group_id, m.actor_id, g.external_id, a.external_id{values}
FROM (
    SELECT t.group_id, t.actor_id, t.role, t.permissions, t.since
    FROM milepost.member t
    WHERE t.tenant_id = %(tenant_id)s AND t.since <= %(now)s AND t.until > %(now)s{where}
    ORDER BY {order}
    LIMIT {rows}
) m
JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = m.group_id
JOIN milepost.actor a ON a.tenant_id = %(tenant_id)s AND a.actor_id = m.actor_id
ORDER BY m.group_id, m.actor_id

-- name: of_membership
-- One number of a rollup, of the group, the actor, or both that a membership is of.
(SELECT {value} FROM milepost.rollup_{rollup} t
 WHERE t.tenant_id = %(tenant_id)s{keys} AND t.per = 'all' AND t.bucket = timestamp '0001-01-01' AND t.n <> 0)

-- name: member_count
-- How many are members of a group, or of a group below it, now.
(SELECT count(DISTINCT o.actor_id)
 FROM milepost.group_reach r
 JOIN milepost.member o ON o.tenant_id = %(tenant_id)s AND o.group_id = r.group_id AND o.since <= %(now)s AND o.until > %(now)s
 WHERE r.tenant_id = %(tenant_id)s AND r.ancestor_id = {group_id} AND r.since <= %(now)s AND r.until > %(now)s)

-- name: engagement
-- Of some groups: how many members they and the groups below them have, and how many of these did something in the time.
SELECT k.group_id, count(*) FILTER (WHERE m.member), count(*) FILTER (WHERE m.member AND m.active)
FROM unnest(%(groups)s::bigint[]) AS k (group_id)
CROSS JOIN LATERAL (
    SELECT x.actor_id, bool_or(x.member) AS member, bool_or(NOT x.member) AS active
    FROM (
        SELECT m.actor_id, true AS member
        FROM milepost.group_reach r
        JOIN milepost.member m ON m.tenant_id = %(tenant_id)s AND m.group_id = r.group_id AND m.since <= %(now)s AND m.until > %(now)s
        WHERE r.tenant_id = %(tenant_id)s AND r.ancestor_id = k.group_id AND r.since <= %(now)s AND r.until > %(now)s
        UNION ALL
{active}
    ) x
    GROUP BY x.actor_id
) m
GROUP BY k.group_id

-- name: active_seen
-- Actors that a rollup by group counts as distinct.
SELECT t.value, false FROM {table}_seen_actor t
WHERE t.tenant_id = %(tenant_id)s AND t.group_id = k.group_id AND t.per = '{per}' AND t.bucket >= {since} AND t.bucket < {until}
  AND t.n <> 0

-- name: active_kept
-- Actors that a rollup is kept by.
SELECT t.actor_id, false FROM {table} t
WHERE t.tenant_id = %(tenant_id)s AND t.group_id = k.group_id AND t.per = '{per}' AND t.bucket >= {since} AND t.bucket < {until}
  AND t.n <> 0

-- name: active_nobody
-- Where only members are counted.
SELECT NULL::bigint, false WHERE false

-- name: below
-- The groups below one, now.
 AND t.group_id IN (
    SELECT r.group_id FROM milepost.group_reach r
    WHERE r.tenant_id = %(tenant_id)s AND r.ancestor_id = %(within_id)s AND r.group_id <> %(within_id)s
      AND r.since <= %(now)s AND r.until > %(now)s)

-- name: at_or_below
-- A group and those below it, now.
 AND t.group_id IN (
    SELECT r.group_id FROM milepost.group_reach r
    WHERE r.tenant_id = %(tenant_id)s AND r.ancestor_id = %(group_id)s AND r.since <= %(now)s AND r.until > %(now)s)

-- name: kind
-- Groups of one kind.
 AND EXISTS (
    SELECT FROM milepost.groups o WHERE o.tenant_id = %(tenant_id)s AND o.group_id = t.group_id AND o.kind = {kind} OFFSET 0)
