-- Links of a tenant's chain. Each is one statement: what it makes of activities, its blocks and itself.

-- name: link
-- A link of what a load or a correction made (the delta's rows) and of what is gone (`gone_ids`, with their kinds); none where there is
-- nothing of either. Salts come of a seed that nothing keeps: asking for a random number for each takes ten times as long. That they
-- are gone one by one is what erases; the formulas are those of milepost.storage.chain_digests.
WITH seed AS MATERIALIZED (
    SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) AS bytes
), before AS (
    SELECT coalesce(max(number), 0) + 1 AS number FROM milepost.chain_link WHERE tenant_id = %(tenant_id)s
), salted AS MATERIALIZED (
    SELECT %(kind)s AS kind, a.id,
        encode(substr(sha256((SELECT bytes FROM seed) || uuid_send(a.id)), 1, 16), 'hex')::uuid AS salt,
        {form} || chr(10) || {content} AS form
    FROM {rows}
), entry AS (
    SELECT kind, id, salt, sha256(uuid_send(salt) || convert_to(form, 'UTF8')) AS digest, substr(uuid_send(id), 1, 4) AS near FROM salted
    {gone}
), numbered AS (
    -- Windows are of 28 bits, so the last four of these 32 do not count.
    SELECT kind, id, salt, digest, span, (row_number() OVER (PARTITION BY kind, span ORDER BY id) - 1) / 128 AS part
    FROM (SELECT kind, id, salt, digest, set_byte(near, 3, get_byte(near, 3) & 240) AS span FROM entry) e
), gathered AS (
    SELECT kind, array_agg(id ORDER BY id) AS ids, array_agg(salt ORDER BY id) AS salts, array_agg(digest ORDER BY id) AS digests,
        sha256(convert_to(kind, 'UTF8') || '\x00' || string_agg(uuid_send(id) || coalesce(digest, ''), '' ORDER BY id)) AS digest
    FROM numbered GROUP BY kind, span, part
), block AS (
    INSERT INTO milepost.chain_block (tenant_id, link, place, kind, low, high, ids, salts, digests, digest)
    SELECT %(tenant_id)s, b.number, row_number() OVER (ORDER BY g.kind, g.ids[1]), g.kind, g.ids[1], g.ids[cardinality(g.ids)], g.ids,
        CASE WHEN g.digests[1] IS NOT NULL THEN g.salts END, CASE WHEN g.digests[1] IS NOT NULL THEN g.digests END, g.digest
    FROM gathered g CROSS JOIN before b
    RETURNING place, digest
), whole AS (
    SELECT string_agg(digest, '' ORDER BY place) AS digests FROM block
)
INSERT INTO milepost.chain_link (tenant_id, number, made_at, why, digest)
SELECT %(tenant_id)s, b.number, now(), %(why)s, sha256(
    coalesce(
        (SELECT l.digest FROM milepost.chain_link l WHERE l.tenant_id = %(tenant_id)s AND l.number = b.number - 1), g.digest)
    || coalesce(
        (SELECT l.digest FROM milepost.chain_link l WHERE l.tenant_id = %(tenant_id)s AND l.number = b.number & (b.number - 1)), g.digest)
    || int8send(b.number) || int8send((extract(epoch FROM now()) * 1000000)::bigint) || convert_to(%(why)s, 'UTF8') || '\x00'
    || sha256(w.digests))
FROM before b CROSS JOIN whole w
CROSS JOIN (
    SELECT sha256(convert_to('milepost chain ' || name, 'UTF8')) AS digest FROM milepost.tenant WHERE tenant_id = %(tenant_id)s
) g
WHERE w.digests IS NOT NULL

-- name: loaded_rows
-- What the delta has that is new; milestones are derived. OFFSET 0: each by its key. Nobody analyses a delta, and a guess of how many rows it
-- has made the planner read whole months.
delta d CROSS JOIN LATERAL (
    SELECT * FROM milepost.activity r
    WHERE r.tenant_id = %(tenant_id)s AND r.id = d.id AND r.id >= %(low)s AND r.id <= %(high)s OFFSET 0
) a
WHERE d.sign > 0 AND d.verb <> 'milestone'

-- name: gone
-- What is not there any more, or not under this id.
UNION ALL
SELECT g.kind, g.id, NULL, NULL, substr(uuid_send(g.id), 1, 4) FROM unnest(%(gone_kinds)s::text[], %(gone_ids)s::uuid[]) AS g (kind, id)
WHERE NOT EXISTS (SELECT FROM delta d WHERE d.id = g.id AND d.verb = 'milestone')

-- name: found_rows
-- History in PostgreSQL that no link is about yet.
milepost.activity a WHERE a.tenant_id = %(tenant_id)s AND a.id >= %(low)s AND a.id < %(high)s AND a.verb <> 'milestone'
    AND {unknown}

-- name: found_cold_rows
-- The same of what is archived, but for what shadows it.
jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) a WHERE a.verb <> 'milestone' AND {unknown}
    AND NOT EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = a.id)
    AND NOT EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = a.id)

-- name: unknown
-- The last that the chain says of an id is not that it is there.
a.id NOT IN (
    SELECT id FROM (
        SELECT DISTINCT ON (e.id) e.id, b.kind FROM milepost.chain_block b CROSS JOIN unnest(b.ids) AS e (id)
        WHERE b.tenant_id = %(tenant_id)s AND b.low >= milepost.chain_window(%(low)s::uuid) AND b.low < %(high)s
        ORDER BY e.id, b.link DESC, b.place DESC
    ) k WHERE kind IN ('made', 'found', 'corrected'))

-- name: forget_salts
-- Nothing that is gone can be recomputed, or guessed and tried: of these activities and of what they were at earlier times. What the links
-- are made of stays. Asked before the ids are buried, while tombstones still lead to them.
WITH gone AS MATERIALIZED (
    SELECT unnest(%(ids)s::uuid[]) AS id
    UNION
    SELECT id FROM milepost.tombstone WHERE tenant_id = %(tenant_id)s AND current_id = ANY (%(ids)s::uuid[])
), concerned AS MATERIALIZED (
    SELECT DISTINCT b.link, b.place
    FROM gone g JOIN milepost.chain_block b ON b.tenant_id = %(tenant_id)s
        AND b.low >= milepost.chain_window(g.id) AND b.low <= g.id AND b.high >= g.id
    WHERE b.salts IS NOT NULL
), left_of AS (
    SELECT b.link, b.place, array_agg(CASE WHEN g.id IS NULL THEN e.salt END ORDER BY e.nth) AS salts
    FROM concerned c JOIN milepost.chain_block b ON b.tenant_id = %(tenant_id)s AND b.link = c.link AND b.place = c.place
    CROSS JOIN unnest(b.ids, b.salts) WITH ORDINALITY AS e (id, salt, nth)
    LEFT JOIN gone g ON g.id = e.id
    GROUP BY b.link, b.place
)
UPDATE milepost.chain_block b SET salts = l.salts FROM left_of l
WHERE b.tenant_id = %(tenant_id)s AND b.link = l.link AND b.place = l.place
