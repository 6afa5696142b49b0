-- Proofs of single activities.

-- name: current_id
-- Where an activity is now that once had this id; this id where it is gone.
SELECT coalesce((SELECT current_id FROM milepost.tombstone WHERE tenant_id = %(tenant_id)s AND id = %(id)s), %(id)s)

-- name: words
-- All that the chain says of an id, the last first.
SELECT b.link, b.place, b.kind, l.made_at, l.why, e.salt, e.digest
FROM milepost.chain_block b
JOIN milepost.chain_link l ON l.tenant_id = b.tenant_id AND l.number = b.link
CROSS JOIN unnest(b.ids, b.salts, b.digests) AS e (id, salt, digest)
WHERE b.tenant_id = %(tenant_id)s AND b.low >= milepost.chain_window(%(id)s) AND b.low <= %(id)s AND b.high >= %(id)s AND e.id = %(id)s
ORDER BY b.link DESC, b.place DESC

-- name: block
-- What else the block of an entry is about.
SELECT e.id, e.digest FROM milepost.chain_block b CROSS JOIN unnest(b.ids, b.digests) WITH ORDINALITY AS e (id, digest, nth)
WHERE b.tenant_id = %(tenant_id)s AND b.link = %(link)s AND b.place = %(place)s ORDER BY e.nth

-- name: blocks
-- All of a link's blocks.
SELECT digest FROM milepost.chain_block WHERE tenant_id = %(tenant_id)s AND link = %(link)s ORDER BY place

-- name: way
-- Links on the way from a head down, with the digests that they are made of; NULL for what is before all.
SELECT l.number, l.made_at, l.why,
    (SELECT sha256(string_agg(b.digest, '' ORDER BY b.place)) FROM milepost.chain_block b
     WHERE b.tenant_id = l.tenant_id AND b.link = l.number),
    (SELECT p.digest FROM milepost.chain_link p WHERE p.tenant_id = l.tenant_id AND p.number = l.number - 1),
    (SELECT p.digest FROM milepost.chain_link p WHERE p.tenant_id = l.tenant_id AND p.number = l.number & (l.number - 1))
FROM milepost.chain_link l
WHERE l.tenant_id = %(tenant_id)s AND l.number = ANY (%(numbers)s::bigint[]) ORDER BY l.number DESC

-- name: said
-- The form of an activity in PostgreSQL, and its content's line.
SELECT {form}, {content} FROM milepost.activity a WHERE a.tenant_id = %(tenant_id)s AND a.id = %(id)s

-- name: said_cold
-- The same of an archived one.
SELECT {form}, {content} FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) a

-- name: newest
-- How far the chain is.
SELECT max(number) FROM milepost.chain_link WHERE tenant_id = %(tenant_id)s
