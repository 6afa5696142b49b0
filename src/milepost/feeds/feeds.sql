-- Pages of activities. In braces: {columns} of the presenter, the {lead} condition that an index serves, the {rest},
-- the bounds {rows} (of the page) and {scanned} (of what is looked at). They are numbers written out: for a LIMIT
-- that it cannot see, the planner expects a tenth of the table, and sorts. Names are looked up after the LIMIT.

-- name: page
-- The frame of every page: rows found by one of the sources below, presented.
SELECT {columns}
FROM (
{source}
) s
JOIN milepost.actor a ON a.tenant_id = %(tenant_id)s AND a.actor_id = s.actor_id
LEFT JOIN milepost.groups g ON g.tenant_id = %(tenant_id)s AND g.group_id = s.group_id
ORDER BY s.id DESC

-- name: by_audience
-- One backward index range for each audience of the reader, merged: who may see little costs no more than who sees
-- all.
SELECT p.*
FROM unnest(%(audiences)s::smallint[]) AS u (audience)
CROSS JOIN LATERAL (
    {each}
) p
ORDER BY p.id DESC
LIMIT {rows}

-- name: activities
-- The range of one audience in the activity table.
SELECT s.* FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.audience = u.audience AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
LIMIT {rows}

-- name: activities_tested
-- The same with further conditions: of a bounded number of rows, so that a page costs no more because nothing
-- matches.
SELECT s.* FROM (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.audience = u.audience AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC
    LIMIT {scanned}
) s
WHERE {rest}
ORDER BY s.id DESC
LIMIT {rows}

-- name: stream
-- The range of one audience in the stream rows of a group that is an activity's second or later one.
SELECT s.* FROM (
    SELECT t.id FROM milepost.activity_stream t
    WHERE t.tenant_id = %(tenant_id)s AND t.group_id = %(group_id)s AND t.audience = u.audience
      AND t.id >= %(low)s AND t.id < %(high)s
    ORDER BY t.id DESC
    LIMIT {scanned}
) t
JOIN milepost.activity s ON s.tenant_id = %(tenant_id)s AND s.id = t.id
WHERE {rest}
ORDER BY s.id DESC
LIMIT {rows}

-- name: in_order
-- By an index that ends in the id, whatever the audience.
SELECT s.* FROM milepost.activity s
WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.id >= %(low)s AND s.id < %(high)s
ORDER BY s.id DESC
LIMIT {rows}

-- name: in_order_tested
-- The same with further conditions, of a bounded number of rows.
SELECT s.* FROM (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC
    LIMIT {scanned}
) s
WHERE {rest}
ORDER BY s.id DESC
LIMIT {rows}

-- name: boundary_by_audience
-- Where the look at a bounded number of rows ended: above this id all are known, in every audience. No row: the look
-- was whole.
SELECT b.id
FROM unnest(%(audiences)s::smallint[]) AS u (audience)
CROSS JOIN LATERAL (
    {each}
) b
ORDER BY b.id DESC
LIMIT 1

-- name: boundary_of_activities
-- The last row that was looked at, if there were as many as the bound.
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
