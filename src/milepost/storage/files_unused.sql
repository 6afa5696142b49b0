-- name: due
-- Files that were kept for as long as they should be, locked until they are gone, with what of them may lie in the store; and whether an
-- activity names one all the same. Somebody who names one now waits, and finds it gone.
SELECT f.tenant_id, f.file_id, f.attempt,
    EXISTS (SELECT FROM milepost.activity_file u WHERE u.tenant_id = f.tenant_id AND u.file_id = f.file_id)
FROM milepost.file f
WHERE f.keep_until < now() AND (%(tenant_id)s::integer IS NULL OR f.tenant_id = %(tenant_id)s)
ORDER BY f.keep_until LIMIT %(rows_max)s
FOR UPDATE OF f SKIP LOCKED

-- name: keep
-- Somebody names them.
UPDATE milepost.file f SET keep_until = 'infinity'
FROM unnest(%(tenants)s::integer[], %(ids)s::uuid[]) AS k (tenant_id, file_id)
WHERE f.tenant_id = k.tenant_id AND f.file_id = k.file_id

-- name: forget
-- Their objects are gone.
DELETE FROM milepost.file f USING unnest(%(tenants)s::integer[], %(ids)s::uuid[]) AS k (tenant_id, file_id)
WHERE f.tenant_id = k.tenant_id AND f.file_id = k.file_id

-- name: uploaded
-- Complete files of which no upload can be under way any more.
SELECT tenant_id, file_id, attempt FROM milepost.file
WHERE completed_at IS NOT NULL AND upload_until < now() - %(hours)s * interval '1 hour'
ORDER BY upload_until LIMIT %(rows_max)s
FOR UPDATE SKIP LOCKED

-- name: swept
-- What came too late is gone.
UPDATE milepost.file f SET upload_until = NULL
FROM unnest(%(tenants)s::integer[], %(ids)s::uuid[]) AS k (tenant_id, file_id)
WHERE f.tenant_id = k.tenant_id AND f.file_id = k.file_id
