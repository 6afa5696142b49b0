-- name: newest_version
-- Asked every second by every process, so it is a look at one index.
SELECT max(version) FROM milepost.model_version
