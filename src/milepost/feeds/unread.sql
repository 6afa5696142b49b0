-- name: place
-- How far this snapshot's tenant is loaded, and an id that none is above.
SELECT (SELECT position FROM milepost.journal WHERE tenant_id = %(tenant_id)s ORDER BY position DESC LIMIT 1),
    greatest((SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s ORDER BY id DESC LIMIT 1),
        (SELECT high FROM milepost.cold_file WHERE tenant_id = %(tenant_id)s AND state = 'cold' ORDER BY high DESC LIMIT 1))

-- name: mark
-- One row for each reader and feed, which only goes on.
INSERT INTO milepost.read_marker AS m (tenant_id, actor_id, group_id, position, newest, marked_at)
VALUES (%(tenant_id)s, %(actor_id)s, %(group_id)s, %(position)s, %(newest)s, now())
ON CONFLICT (tenant_id, actor_id, group_id)
DO UPDATE SET position = excluded.position, newest = excluded.newest, marked_at = excluded.marked_at
WHERE m.position < excluded.position

-- name: marker
-- Where a reader is in a feed, and whether the journal still has all that came since: it forgets the oldest first.
SELECT m.position, m.newest, m.marked_at,
    m.position = 0 OR EXISTS (SELECT FROM milepost.journal j WHERE j.tenant_id = m.tenant_id AND j.position = m.position)
FROM milepost.read_marker m
WHERE m.tenant_id = %(tenant_id)s AND m.actor_id = %(actor_id)s AND m.group_id = %(group_id)s

-- name: late
-- Ids up to the marker's that loads after it name, each once; and how many such loads there are. A load's first id is its smallest, and
-- is in an index of its own: a load without late ids costs an entry of that index.
WITH loads AS MATERIALIZED (
    SELECT j.ids FROM milepost.journal j
    WHERE j.tenant_id = %(tenant_id)s AND j.position > %(position)s AND j.ids[1] <= %(newest)s
    ORDER BY j.position
    LIMIT %(loads)s
)
SELECT DISTINCT i.id, (SELECT count(*) FROM loads)
FROM loads CROSS JOIN LATERAL unnest(loads.ids) i (id)
WHERE i.id <= %(newest)s
LIMIT %(most)s

-- name: late_in_feed
-- How many of them are in the feed. Each is looked up, as for a page (`shown` in feeds.sql).
SELECT count(*)
FROM unnest(%(ids)s::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT s.* FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id = i.id AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0
) s
WHERE {matches}

-- name: late_away
-- Those that are not in PostgreSQL: archived, moved or gone.
SELECT i.id FROM unnest(%(ids)s::uuid[]) AS i (id)
WHERE NOT EXISTS (
    SELECT FROM milepost.activity s
    WHERE s.tenant_id = %(tenant_id)s AND s.id = i.id AND s.id >= %(first)s AND s.id <= %(last)s OFFSET 0)
ORDER BY i.id DESC
LIMIT %(most)s
