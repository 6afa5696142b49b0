-- Verifying a chain. What is hashed here is what an activity says now; links are hashed in Python, whatever this database says of them.

-- name: chained
-- Whether the tenant has a chain, and whether it is still being filled from history: then up to which id it is complete.
SELECT (SELECT max(number) FROM milepost.chain_link WHERE tenant_id = %(tenant_id)s),
    (SELECT filled_to FROM milepost.filling WHERE tenant_id = %(tenant_id)s AND name = 'chain')

-- name: links
-- Some links, in order; the position of a reader of pages.
SELECT number, made_at, why, digest FROM milepost.chain_link
WHERE tenant_id = %(tenant_id)s AND number > %(after)s AND number <= %(last)s ORDER BY number LIMIT %(most)s

-- name: link_digests
-- Of the links that another one names.
SELECT number, digest FROM milepost.chain_link WHERE tenant_id = %(tenant_id)s AND number = ANY (%(numbers)s::bigint[])

-- name: blocks
-- Some blocks, in order, with what their digests are of; and whether they are found where their ids are looked for.
SELECT b.link, b.place, b.kind, cardinality(b.ids), b.digest,
    (SELECT string_agg(uuid_send(e.id) || coalesce(e.digest, ''), '' ORDER BY e.nth)
     FROM unnest(b.ids, b.digests) WITH ORDINALITY AS e (id, digest, nth)),
    b.low = b.ids[1] AND b.high = b.ids[cardinality(b.ids)] AND milepost.chain_window(b.low) = milepost.chain_window(b.high)
        AND (SELECT count(*) = count(e.id) AND coalesce(bool_and(e.id > e.before), true)
             FROM (SELECT id, lag(id) OVER (ORDER BY nth) AS before FROM unnest(b.ids) WITH ORDINALITY AS u (id, nth)) e
             WHERE e.before IS NOT NULL OR e.id IS NULL)
FROM milepost.chain_block b
WHERE b.tenant_id = %(tenant_id)s AND (b.link, b.place) > (%(link)s, %(place)s) AND b.link <= %(last)s
ORDER BY b.link, b.place LIMIT %(most)s

-- name: span_end
-- Where the next span of activities ends, and where one of what the chain says does.
SELECT (SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id >= %(low)s ORDER BY id OFFSET %(rows)s LIMIT 1),
    (SELECT low FROM milepost.chain_block WHERE tenant_id = %(tenant_id)s AND low > %(low)s ORDER BY low OFFSET %(blocks)s LIMIT 1)

-- name: newest_start
-- Where the newest of a tenant's activities begin.
SELECT id FROM milepost.activity WHERE tenant_id = %(tenant_id)s ORDER BY id DESC OFFSET %(rows)s LIMIT 1

-- name: compare
-- What is not as the last word of the chain on its id has it, of the ids from low on, below high.
WITH word AS (
    SELECT DISTINCT ON (e.id) e.id, b.link, b.kind, e.salt, e.digest, count(e.salt) OVER (PARTITION BY e.id) AS salts
    FROM milepost.chain_block b CROSS JOIN unnest(b.ids, b.salts, b.digests) AS e (id, salt, digest)
    WHERE b.tenant_id = %(tenant_id)s AND b.low >= milepost.chain_window(%(low)s) AND b.low < %(high)s
        AND e.id >= %(low)s AND e.id < %(high)s
    ORDER BY e.id, b.link DESC, b.place DESC
), found AS (
    SELECT a.id, {form} AS form, {content} AS content FROM milepost.activity a
    WHERE a.tenant_id = %(tenant_id)s AND a.id >= %(low)s AND a.id < %(high)s AND a.verb <> 'milestone'
)
SELECT * FROM (
    SELECT coalesce(f.id, w.id), w.link, CASE
        WHEN w.id IS NULL OR (f.id IS NOT NULL AND w.digest IS NULL) THEN 'inserted'
        WHEN f.id IS NULL AND w.digest IS NOT NULL THEN 'gone'
        WHEN f.id IS NULL THEN CASE WHEN w.salts > 0 AND (w.kind <> 'moved' OR EXISTS (
            SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = w.id AND t.current_id IS NULL
        )) THEN 'salt kept' END
        WHEN w.salt IS NULL THEN 'salt gone'
        WHEN sha256(uuid_send(w.salt) || convert_to(f.form || chr(10) || f.content, 'UTF8')) <> w.digest THEN 'changed'
        END AS what, w.salt, w.digest, f.form, f.content
    FROM found f FULL JOIN word w ON w.id = f.id
) d WHERE what IS NOT NULL

-- name: contents
-- Some contents in the object store, each once.
SELECT digest, text_bytes, object_bytes, index_bytes, index_digest FROM milepost.content
WHERE tenant_id = %(tenant_id)s AND digest > %(after)s AND index_digest IS NOT NULL ORDER BY digest LIMIT %(most)s

-- name: who_has
-- Activities that have a content.
SELECT id FROM milepost.activity_content WHERE tenant_id = %(tenant_id)s AND digest = %(digest)s ORDER BY id LIMIT 100

-- name: as_in_a_row
-- The line of a content when it was in its row: an object has the same JSON in other words.
SELECT 'sha256 ' || encode(sha256(convert_to(%(text)s::text, 'UTF8')), 'hex')
