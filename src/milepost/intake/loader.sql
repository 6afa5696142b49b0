-- Loaders and lanes: who lives, and who holds what.

-- name: beat
-- That this loader lives. Only the database's clock counts.
INSERT INTO milepost.loader (holder, expires_at)
VALUES (%(holder)s, clock_timestamp() + %(lease_s)s * interval '1 second')
ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at;

-- name: leave
-- It stops; and those that died long ago are forgotten on the way.
DELETE FROM milepost.loader WHERE holder = %(holder)s OR expires_at < clock_timestamp() - interval '1 hour';

-- name: live
-- The loaders among whom the lanes are shared out.
SELECT holder FROM milepost.loader WHERE expires_at > clock_timestamp();

-- name: has_model
-- Whether there is a model to load by.
SELECT EXISTS (SELECT FROM milepost.model_version);

-- name: holders
-- Each lane's holder; none where its lease ran out.
SELECT lane, CASE WHEN expires_at > clock_timestamp() THEN holder END FROM milepost.lane;
