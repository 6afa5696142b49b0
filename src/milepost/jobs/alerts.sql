-- name: measure
-- What lies there in all, and since when: from the index alone, since payloads may be large.
SELECT count(*), coalesce(sum(rows), 0)::bigint,
    coalesce(extract(epoch FROM clock_timestamp() - min(first_failed_at)), 0)::float8
FROM milepost.dead_letter;

-- name: notice_growth
-- A tenant of whose rows so many were set aside within the hour: an alert is opened, or speaks again when twice as many lie there.
INSERT INTO milepost.alert (tenant_id, kind, subject, detail, level)
SELECT tenant_id, 'dead_letters', '',
    format('%%s rows lie in the dead letters, %%s of them set aside in the last hour.', sum(rows),
        sum(rows) FILTER (WHERE failed_at > clock_timestamp() - interval '1 hour')),
    sum(rows)
FROM milepost.dead_letter
GROUP BY tenant_id
HAVING sum(rows) FILTER (WHERE failed_at > clock_timestamp() - interval '1 hour') >= %(rows)s
ON CONFLICT (tenant_id, kind, subject) WHERE resolved_at IS NULL
DO UPDATE SET detail = excluded.detail, level = excluded.level WHERE alert.level * 2 <= excluded.level
RETURNING tenant_id, detail, level;

-- name: resolve_growth
-- Whoever replayed or discarded has looked: fewer lie there now than are worth an alert.
UPDATE milepost.alert SET resolved_at = clock_timestamp()
WHERE kind = 'dead_letters' AND resolved_at IS NULL AND %(rows)s > coalesce(
    (SELECT sum(letter.rows) FROM milepost.dead_letter AS letter WHERE letter.tenant_id = alert.tenant_id), 0)
RETURNING tenant_id;

-- name: forget_resolved
-- A bounded step of cleaning.
DELETE FROM milepost.alert AS old
USING (
    SELECT tenant_id, alert_id FROM milepost.alert
    WHERE resolved_at < clock_timestamp() - %(days)s * interval '1 day'
    LIMIT %(rows_max)s
) AS found
WHERE old.tenant_id = found.tenant_id AND old.alert_id = found.alert_id;

-- name: page
-- A tenant's alerts and those of the whole deployment, newest first.
SELECT alert_id, tenant_id = 0, kind, subject, detail, opened_at, resolved_at
FROM milepost.alert
WHERE tenant_id IN (0, %(tenant_id)s) AND (%(resolved)s OR resolved_at IS NULL)
    AND (%(before)s::bigint IS NULL OR alert_id < %(before)s)
ORDER BY alert_id DESC
LIMIT %(limit)s;
