-- Pages of activities, in two steps: which ones, from indexes alone where that is enough; then those, with their
-- names. In braces: {columns} of the presenter, the {lead} condition that an index serves, the {rest} that is tested,
-- and the bounds {rows} (of the page) and {scanned} (of what is looked at). They are numbers written out: for a LIMIT
-- that it cannot see the planner expects a tenth of the table. No statement here sorts: the ids of several ranges are
-- merged by who asked for them.

-- name: by_audience
-- One backward index range for each audience of the reader: who may see little costs no more than who sees all.
SELECT p.id
FROM unnest(%(audiences)s::smallint[]) AS u (audience)
CROSS JOIN LATERAL (
{each}
) p

-- name: activities
-- The range of one audience in the activity table.
SELECT s.id FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.audience = u.audience AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
LIMIT {rows}

-- name: activities_tested
-- The same with further conditions: of a bounded number of rows, so that a page costs no more because nothing
-- matches.
SELECT s.id FROM (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.audience = u.audience AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC
    LIMIT {scanned}
) s
WHERE {rest}
LIMIT {rows}

-- name: stream
-- The range of one audience in the stream rows of a group that is an activity's second or later one.
SELECT t.id FROM milepost.activity_stream t
WHERE t.tenant_id = %(tenant_id)s AND t.group_id = %(group_id)s AND t.audience = u.audience
  AND t.id >= %(low)s AND t.id < %(high)s
ORDER BY t.id DESC
LIMIT {rows}

-- name: stream_tested
-- The same with further conditions, of a bounded number of rows.
SELECT s.id FROM (
    SELECT t.id FROM milepost.activity_stream t
    WHERE t.tenant_id = %(tenant_id)s AND t.group_id = %(group_id)s AND t.audience = u.audience
      AND t.id >= %(low)s AND t.id < %(high)s
    ORDER BY t.id DESC
    LIMIT {scanned}
) t
JOIN milepost.activity s ON s.tenant_id = %(tenant_id)s AND s.id = t.id
WHERE {rest}
LIMIT {rows}

-- name: in_order
-- By an index that ends in the id, whatever the audience.
SELECT s.id FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
LIMIT {rows}

-- name: in_order_tested
-- The same with further conditions, of a bounded number of rows.
SELECT s.id FROM (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC
    LIMIT {scanned}
) s
WHERE {rest}
LIMIT {rows}

-- name: boundary_of_activities
-- Where the look at a bounded number of rows ended, if there were as many: above this id all are known.
SELECT s.id FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.audience = u.audience AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
OFFSET {before_last} LIMIT 1

-- name: boundary_of_stream
-- Likewise, of the stream rows.
SELECT t.id FROM milepost.activity_stream t
WHERE t.tenant_id = %(tenant_id)s AND t.group_id = %(group_id)s AND t.audience = u.audience
  AND t.id >= %(low)s AND t.id < %(high)s
ORDER BY t.id DESC
OFFSET {before_last} LIMIT 1

-- name: boundary_in_order
-- Likewise, by an index that ends in the id.
SELECT s.id FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
OFFSET {before_last} LIMIT 1

-- name: shown
-- The activities of a page, each by primary key (OFFSET 0: where partitions are small, all between the bounds looked cheaper, and were
-- compared with each id). The bounds keep partitions out of it that hold none of them.
SELECT {columns}
FROM unnest(%(ids)s::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id = i.id AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0
) s
JOIN milepost.actor a ON a.tenant_id = %(tenant_id)s AND a.actor_id = s.actor_id
LEFT JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = s.group_id
