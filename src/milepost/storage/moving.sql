-- name: waiting
-- Activities whose content is to leave the row, whoever's, with it; without one where there is nothing to move.
SELECT w.tenant_id, w.id, a.version, a.content::text
FROM (SELECT tenant_id, id FROM milepost.content_waiting ORDER BY tenant_id, id LIMIT %(rows_max)s) w
LEFT JOIN milepost.activity a ON a.tenant_id = w.tenant_id AND a.id = w.id

-- name: take_out
-- Nothing, where the activity was corrected meanwhile: its new content waits anew.
UPDATE milepost.activity SET content = NULL
WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND version = %(version)s AND content IS NOT NULL

-- name: lies_there
-- Where an activity's content is from now on.
INSERT INTO milepost.activity_content (tenant_id, id, digest) VALUES (%(tenant_id)s, %(id)s, %(digest)s)
ON CONFLICT (tenant_id, id) DO UPDATE SET digest = excluded.digest

-- name: done
-- It waits no longer.
DELETE FROM milepost.content_waiting WHERE tenant_id = %(tenant_id)s AND id = %(id)s

-- name: window
-- How far the next contents go, and how many they are.
SELECT count(*), (array_agg(w.tenant_id ORDER BY w.tenant_id DESC, w.digest DESC))[1],
    (array_agg(w.digest ORDER BY w.tenant_id DESC, w.digest DESC))[1]
FROM (
    SELECT tenant_id, digest FROM milepost.content WHERE (tenant_id, digest) > (%(tenant_id)s, %(digest)s)
    ORDER BY tenant_id, digest LIMIT %(looked_at)s
) w

-- name: unused
-- Of these, contents that no activity has and nobody has wanted for a while, locked until they are gone.
SELECT c.tenant_id, c.digest FROM milepost.content c
WHERE (c.tenant_id, c.digest) > (%(tenant_id)s, %(digest)s) AND (c.tenant_id, c.digest) <= (%(last_tenant_id)s, %(last_digest)s)
    AND c.touched_at < now() - %(hours)s * interval '1 hour'
    AND NOT EXISTS (SELECT FROM milepost.activity_content u WHERE u.tenant_id = c.tenant_id AND u.digest = c.digest)
ORDER BY c.tenant_id, c.digest
FOR UPDATE OF c SKIP LOCKED

-- name: erased
-- Contents of a tenant's erased activities that nobody has or has wanted since; locked until they are gone.
SELECT c.tenant_id, c.digest FROM milepost.content c
WHERE c.tenant_id = %(tenant_id)s AND c.touched_at = '-infinity'
    AND NOT EXISTS (SELECT FROM milepost.activity_content u WHERE u.tenant_id = c.tenant_id AND u.digest = c.digest)
ORDER BY c.digest LIMIT %(rows_max)s
FOR UPDATE OF c

-- name: forget
-- Their objects are gone.
DELETE FROM milepost.content c USING unnest(%(tenants)s::integer[], %(digests)s::bytea[]) AS g (tenant_id, digest)
WHERE c.tenant_id = g.tenant_id AND c.digest = g.digest
