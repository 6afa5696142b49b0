-- What is asked of activities `s` is asked of both kinds: {activities} is one of these two.

-- name: hot
-- Those in PostgreSQL, each looked up, as for a page (`shown` in feeds/feeds.sql).
SELECT s.* FROM unnest(%(ids)s::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id = i.id AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0
) s

-- name: cold
-- Those in the archive.
SELECT s.* FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) s

-- name: of_facets
-- How many have each value, of each facet that is asked for ({sets}); the first column tells by its bits which of them a row is not of.
SELECT grouping({columns}), count(*), {columns}
FROM ({activities}) s
GROUP BY GROUPING SETS ({sets})

-- name: ranks
-- Cover density: words that stand near one another count more. A document's own words are all that it takes.
SELECT d.id, ts_rank_cd(d.words, %(query)s::tsquery, 1)
FROM unnest(%(ids)s::uuid[]) AS i (id)
JOIN milepost.search_document d ON d.tenant_id = %(tenant_id)s AND d.id = i.id

-- name: headlines
-- The text is parsed again for it, so it is asked of the page's activities alone.
SELECT s.id, {headlines}
FROM ({activities}) s
