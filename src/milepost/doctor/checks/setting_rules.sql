-- name: rows
-- As this database's sessions begin with them; shown as people write them.
SELECT name, setting, unit, vartype, context, enumvals, current_setting(name) AS shown
FROM pg_settings
WHERE context <> 'internal' AND category NOT LIKE 'Customized%%'
  -- Of the doctor's own session, not of the server.
  AND name NOT IN ('default_transaction_read_only', 'transaction_read_only', 'application_name');
