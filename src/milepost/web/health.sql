-- name: lanes
-- Whether each lane has a loader, in whichever process.
SELECT lane, expires_at > clock_timestamp() FROM milepost.lane ORDER BY lane
