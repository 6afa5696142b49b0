-- Finding what matches. In braces: {lead}, the condition that a filter's index serves; {tests} and {visible}, what is asked of the
-- activity itself; {rows}, written out, since for a LIMIT that it cannot see the planner expects a tenth of the table.

-- name: matches
-- What the documents say, newest first; a row without a version ends what was looked at.
SELECT m.id, m.version
FROM milepost.search_matches(%(query)s::tsquery, %(pieces)s::text[], %(low)s::uuid, %(high)s::uuid, %(most)s::integer,
    %(walked)s::integer, %(patience_ms)s::integer) AS m

-- name: tested
-- What the activities say: a document whose activity is gone or was corrected since is not found, whatever its words are. Each is
-- looked up, as for a page (`shown` in feeds/feeds.sql). The bounds keep partitions out of it that hold none.
SELECT s.id
FROM unnest(%(ids)s::uuid[]) AS i (id)
JOIN milepost.search_document d ON d.tenant_id = %(tenant_id)s AND d.id = i.id
CROSS JOIN LATERAL (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id = i.id AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0
) s
WHERE s.version = d.version AND d.words @@ %(query)s::tsquery{tests} AND {visible}

-- name: tested_cold
-- The same as a condition on cold activities `s`.
EXISTS (
    SELECT FROM milepost.search_document d
    WHERE d.tenant_id = %(tenant_id)s AND d.id = s.id AND d.version = s.version AND d.words @@ %(query)s::tsquery
){tests} AND {visible}

-- name: led_by_id
-- The end of a filter's index that is by id.
SELECT 0, p.id FROM (
    SELECT s.id FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC LIMIT {rows}
) p

-- name: led_by_audience
-- Of one that is by audience and then by id: the end of each range.
SELECT u.audience, p.id
FROM unnest(%(audiences)s::smallint[]) AS u (audience)
CROSS JOIN LATERAL (
    SELECT s.id FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.audience = u.audience AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC LIMIT {rows}
) p

-- name: led_by_group
-- Of a group: its ranges, and those of the rows that stand for an activity's later groups.
SELECT u.audience, p.id
FROM unnest(%(audiences)s::smallint[]) AS u (audience)
CROSS JOIN LATERAL (
    SELECT s.id FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND {lead} AND s.audience = u.audience AND s.id >= %(low)s AND s.id < %(high)s
    ORDER BY s.id DESC LIMIT {rows}
) p
UNION ALL
SELECT 10 + u.audience, p.id
FROM unnest(%(audiences)s::smallint[]) AS u (audience)
CROSS JOIN LATERAL (
    SELECT t.id FROM milepost.activity_stream t
    WHERE t.tenant_id = %(tenant_id)s AND t.group_id = %(group_id)s AND t.audience = u.audience
      AND t.id >= %(low)s AND t.id < %(high)s
    ORDER BY t.id DESC LIMIT {rows}
) p
