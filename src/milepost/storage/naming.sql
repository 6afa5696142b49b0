-- name: name
-- New activities and the files that they name, which are not collected from now on. How many of these are not there: they were named too
-- late, and are shown as gone.
WITH named AS (
    SELECT DISTINCT k.id, k.file_id, k.name, k.place
    FROM unnest(%(ids)s::uuid[], %(names)s::text[], %(places)s::smallint[], %(file_ids)s::uuid[]) AS k (id, name, place, file_id)
    WHERE EXISTS (SELECT FROM delta d WHERE d.id = k.id)
), there AS (
    UPDATE milepost.file f SET keep_until = 'infinity'
    FROM (SELECT DISTINCT file_id, name FROM named) n
    WHERE f.tenant_id = %(tenant_id)s AND f.file_id = n.file_id AND f.name = n.name AND f.completed_at IS NOT NULL
    RETURNING f.file_id
), put AS (
    INSERT INTO milepost.activity_file (tenant_id, id, file_id, name, place)
    SELECT %(tenant_id)s, id, file_id, name, place FROM named
    ON CONFLICT (tenant_id, id, file_id) DO NOTHING
)
SELECT (SELECT count(DISTINCT file_id) FROM named) - (SELECT count(*) FROM there)

-- name: nameable
-- Which of these files a correction may name: complete ones of the verb, and those that the activity names, or once did.
SELECT file_id, name FROM milepost.file
WHERE tenant_id = %(tenant_id)s AND file_id = ANY (%(file_ids)s::uuid[]) AND verb = %(verb)s AND completed_at IS NOT NULL
UNION
SELECT file_id, name FROM milepost.activity_file
WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND file_id = ANY (%(file_ids)s::uuid[])

-- name: unname
-- A correction has dropped them. An earlier version that is kept still has them; else they are collected in a day, if nobody else names them.
WITH gone AS (
    DELETE FROM milepost.activity_file
    WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND name = ANY (%(declared)s) AND NOT file_id = ANY (%(file_ids)s::uuid[])
        AND NOT %(versions)s
    RETURNING file_id
), unnamed AS (
    UPDATE milepost.file SET keep_until = now() + interval '1 day'
    WHERE tenant_id = %(tenant_id)s AND file_id IN (SELECT file_id FROM gone)
)
UPDATE milepost.activity_file SET place = NULL
WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND name = ANY (%(declared)s) AND NOT file_id = ANY (%(file_ids)s::uuid[]) AND %(versions)s

-- name: name_anew
-- What a correction names now, in its order.
WITH there AS (
    UPDATE milepost.file SET keep_until = 'infinity' WHERE tenant_id = %(tenant_id)s AND file_id = ANY (%(file_ids)s::uuid[])
)
INSERT INTO milepost.activity_file (tenant_id, id, file_id, name, place)
SELECT %(tenant_id)s, %(id)s, k.file_id, k.name, k.place
FROM unnest(%(names)s::text[], %(places)s::smallint[], %(file_ids)s::uuid[]) AS k (name, place, file_id)
ON CONFLICT (tenant_id, id, file_id) DO UPDATE SET name = excluded.name, place = excluded.place
