-- What an import asks the database beside sending to its queue.

-- name: identity
-- Names this database for good: what was imported into one says nothing about another. A restored copy has the secret of the
-- original and also its rows; only a cluster of its own tells them apart.
SELECT encode(sha256(secret), 'hex') || system_identifier::text || current_database() FROM milepost.deployment;
