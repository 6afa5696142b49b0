-- name: newest
-- The current model.
SELECT version, toml FROM milepost.model_version ORDER BY version DESC LIMIT 1

-- name: columns
-- The columns that models have added to the activity table: m_* and d_*, with their types and what was declared.
SELECT a.attname, format_type(a.atttypid, a.atttypmod), coalesce(col_description(a.attrelid, a.attnum), '')
FROM pg_attribute a
WHERE a.attrelid = 'milepost.activity'::regclass AND a.attnum > 0 AND NOT a.attisdropped
  AND (a.attname LIKE 'm\_%%' OR a.attname LIKE 'd\_%%')
ORDER BY a.attname

-- name: missing
-- Which of these tables are not there.
SELECT t FROM unnest(%(tables)s::text[]) AS t WHERE to_regclass(t) IS NULL

-- name: lock
-- One model is applied at a time.
SELECT pg_advisory_xact_lock(hashtext('milepost.model'))

-- name: patience
-- Altering the activity table waits for the transactions that use it, and others wait behind it: so not for long.
SELECT set_config('lock_timeout', '5s', true)

-- name: admit_readers
-- The new tables are opened to logins of tenants, where there are any.
SELECT milepost.admit_readers()

-- name: reword
-- The same model in other words: comments, order, spacing.
UPDATE milepost.model_version SET toml = %(toml)s WHERE version = %(version)s

-- name: insert
-- From its commit on, loaders compile this model before their next load.
INSERT INTO milepost.model_version (version, toml, fingerprint) VALUES (%(version)s, %(toml)s, %(fingerprint)s)

-- name: fill
-- Every tenant with a history fills the new tables from it.
INSERT INTO milepost.filling (tenant_id, name, filled_to)
SELECT t.tenant_id, n.name, '00000000-0000-0000-0000-000000000000'
FROM milepost.tenant t CROSS JOIN unnest(%(names)s::text[]) AS n (name)

-- name: forget_filling
-- A table that is dropped is not filled further.
DELETE FROM milepost.filling WHERE name = %(name)s

-- name: forget_residue
-- What removed activities counted for in a table goes with the table: one that is made otherwise counts what is there.
DELETE FROM milepost.residue WHERE name = %(name)s

-- name: chained
-- A tenant that has a chain.
SELECT t.name FROM milepost.tenant t
WHERE EXISTS (SELECT FROM milepost.chain_link l WHERE l.tenant_id = t.tenant_id) ORDER BY t.name LIMIT 1
