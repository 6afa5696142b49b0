-- name: ask
-- A file is about to be uploaded. Its row is there before its object can be, so that none lies there unknown.
INSERT INTO milepost.file (tenant_id, file_id, verb, name, media_type, bytes, sha256, filename, upload_until, keep_until)
VALUES (%(tenant_id)s, %(file_id)s, %(verb)s, %(name)s, %(media_type)s, %(size)s, %(sha256)s, %(filename)s, %(upload_until)s,
    %(keep_until)s)

-- name: again
-- Another upload of a file that is not complete may begin until then.
UPDATE milepost.file SET upload_until = %(upload_until)s, keep_until = %(keep_until)s
WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s AND completed_at IS NULL
RETURNING file_id

-- name: look
-- It is looked at once more, in an object that only this attempt writes: of two at once, the later one counts. Meanwhile it is not
-- collected, lest the object come after its row is gone.
UPDATE milepost.file SET attempt = attempt + 1, keep_until = greatest(keep_until, %(keep_until)s)
WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s AND completed_at IS NULL AND attempt < %(attempts_max)s
RETURNING attempt

-- name: complete
-- It is what was said. Nothing, where another attempt has begun meanwhile.
UPDATE milepost.file SET completed_at = %(now)s, keep_until = %(keep_until)s
WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s AND attempt = %(attempt)s AND completed_at IS NULL
RETURNING file_id

-- name: wanted
-- A complete file may be named anew until then.
UPDATE milepost.file SET keep_until = greatest(keep_until, %(keep_until)s)
WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s AND completed_at IS NOT NULL
RETURNING file_id

-- name: named_by
-- Some of the activities that name a file now, the newest first.
SELECT id FROM milepost.activity_file
WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s AND place IS NOT NULL ORDER BY id DESC LIMIT %(rows_max)s
