-- name: deployment
-- What the deployment's keys in Redis are named by, and how many lanes have some.
SELECT secret, (SELECT array_agg(lane ORDER BY lane) FROM milepost.lane) FROM milepost.deployment;
