-- name: context
-- Whose activities they will be, and under which model: its text comes along only where it is another than the one known.
SELECT tenant_id, version, fingerprint, toml
FROM milepost.enqueue_context(%(tenant)s, %(version)s, %(fingerprint)s);

-- name: enqueue
-- In the caller's transaction: it is there if and only if that commits.
SELECT milepost.enqueue(%(tenant)s, %(model)s, %(rows)s, %(payload)b);
