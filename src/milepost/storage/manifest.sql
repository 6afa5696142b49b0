-- The list of cold files. Readers and loaders ask it in their own transaction; only the owner changes it.

-- name: cold_between
-- The files that may hold ids from `low` on and below `high`, the newest first. Next to no tenant has more than some hundred.
SELECT file_id, path, part, low, high, rows, checksum, bytes, digest, columns FROM milepost.cold_file
WHERE tenant_id = %(tenant_id)s AND state = 'cold' AND high >= %(low)s AND low < %(high)s
ORDER BY high DESC, file_id

-- name: cold_of_ids
-- The files that may hold one of these ids.
SELECT f.file_id, f.path, f.part, f.low, f.high, f.rows, f.checksum, f.bytes, f.digest, f.columns FROM milepost.cold_file f
WHERE f.tenant_id = %(tenant_id)s AND f.state = 'cold'
    AND EXISTS (SELECT FROM unnest(%(ids)s::uuid[]) i (id) WHERE i.id >= f.low AND i.id <= f.high)
ORDER BY f.high DESC, f.file_id

-- name: begin
-- Before the object is written, so that whatever is on the store is on this list.
INSERT INTO milepost.cold_file (tenant_id, path, part, state)
SELECT %(tenant_id)s, %(folder)s || '/' || n || '.parquet', %(part)s, 'exporting'
FROM nextval(pg_get_serial_sequence('milepost.cold_file', 'file_id')) n
RETURNING file_id, path

-- name: verified
-- It was read back and is what was to be written.
UPDATE milepost.cold_file
SET state = 'verified', low = %(low)s, high = %(high)s, rows = %(rows)s, checksum = %(checksum)s, bytes = %(bytes)s,
    digest = %(digest)s, columns = %(columns)s, changed_at = now()
WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s AND state = 'exporting'

-- name: switch
-- From this commit on the new files count, and the replaced ones do not.
UPDATE milepost.cold_file
SET state = CASE WHEN file_id = ANY (%(new)s::bigint[]) THEN 'cold' ELSE 'gone' END, changed_at = now()
WHERE tenant_id = %(tenant_id)s
    AND (file_id = ANY (%(new)s::bigint[]) AND state = 'verified' OR file_id = ANY (%(old)s::bigint[]) AND state = 'cold')

-- name: lock_lane
-- No load of this tenant is under way while this is held, as in a load itself.
SELECT l.lane FROM milepost.lane l JOIN milepost.tenant t ON t.lane = l.lane WHERE t.tenant_id = %(tenant_id)s FOR NO KEY UPDATE OF l

-- name: given_up
-- What a run that died was writing. Nobody reads it.
UPDATE milepost.cold_file SET state = 'gone', changed_at = now() WHERE state IN ('exporting', 'verified')

-- name: removable
-- Files that were taken off the list long enough ago that no reader has them in a snapshot, or never were on it.
SELECT tenant_id, file_id, path FROM milepost.cold_file
WHERE state = 'gone' AND (low IS NULL OR changed_at < now() - %(grace_s)s * interval '1 second')
ORDER BY tenant_id, file_id LIMIT 1000

-- name: remove
-- Its object is no more.
DELETE FROM milepost.cold_file WHERE tenant_id = %(tenant_id)s AND file_id = %(file_id)s AND state = 'gone'

-- name: listed
-- What the archive holds, tenant by tenant in the order of time.
SELECT t.name, f.changed_at, f.file_id, f.path, f.part, f.low, f.high, f.rows, f.checksum, f.bytes, f.digest, f.columns
FROM milepost.cold_file f JOIN milepost.tenant t USING (tenant_id)
WHERE f.state = 'cold' AND (%(tenant_id)s::integer IS NULL OR f.tenant_id = %(tenant_id)s)
ORDER BY t.name, f.low, f.file_id

-- name: digests
-- Of all files that count.
SELECT digest FROM milepost.cold_file WHERE state = 'cold'
