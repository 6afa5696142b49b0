-- name: counted
-- What has arrived of each app's incarnation, and how much of it is different.
SELECT source, sum(times)::bigint, count(*)
FROM (
    SELECT source, object_id, count(*) AS times FROM milepost.activity
    WHERE tenant_id = ANY(%(tenants)s) AND source LIKE 'app%%' GROUP BY source, object_id
) one
GROUP BY source
