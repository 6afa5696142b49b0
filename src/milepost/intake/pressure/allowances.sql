-- Rates and quotas across server processes.

-- name: soon_enough
-- Nobody waits for a flush of tokens and counts: a crash of PostgreSQL may forget the last half second of them.
SELECT set_config('synchronous_commit', 'off', true);

-- name: lease
-- Tokens out of the tenant's bucket, as many as there are up to `wanted`; a negative number gives some back. The bucket begins full,
-- and fills by the database's clock.
WITH filled AS (
    INSERT INTO milepost.tenant_bucket AS bucket (tenant_id, level, filled_at)
    VALUES (%(tenant_id)s, %(burst)s::float8, clock_timestamp())
    ON CONFLICT (tenant_id) DO UPDATE SET
        level = least(
            %(burst)s::float8,
            bucket.level + %(rate)s::float8
                * greatest(0, extract(epoch FROM excluded.filled_at - bucket.filled_at)::float8)
        ),
        filled_at = greatest(bucket.filled_at, excluded.filled_at)
    RETURNING level
)
SELECT level FROM filled;

-- name: withdraw
-- In the transaction that has filled the bucket, whose lock on it lasts until its end.
UPDATE milepost.tenant_bucket SET level = level - least(%(wanted)s::float8, greatest(level, 0))
WHERE tenant_id = %(tenant_id)s
RETURNING level;

-- name: add_use
-- What this process let in since it last said so. In the tenants' order, so that two processes do not wait for each other in a circle.
INSERT INTO milepost.tenant_use AS used (tenant_id, day, activities)
SELECT tenant_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, activities
FROM unnest(%(tenant_ids)s::integer[], %(activities)s::bigint[]) AS new (tenant_id, activities)
ORDER BY tenant_id
ON CONFLICT (tenant_id, day) DO UPDATE SET activities = used.activities + excluded.activities;

-- name: processes
-- By how many the rate is divided while PostgreSQL is away: servers that load, as far as anybody knows.
SELECT greatest(count(*), 1) FROM milepost.loader WHERE expires_at > clock_timestamp();
