-- name: find
-- One file.
SELECT file_id, verb, name, media_type, bytes, sha256, filename, attempt, completed_at FROM milepost.file
WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s
