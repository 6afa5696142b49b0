-- name: rows
-- What lies between the slot's place and the end of WAL. A slot that was lost keeps nothing, and its reader must begin anew.
SELECT slot_name AS name, slot_type AS kind, active, wal_status AS status,
       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)
           AS kept_bytes
FROM pg_replication_slots
WHERE pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn) >= %(bytes_min)s
   OR wal_status = 'lost'
ORDER BY kept_bytes DESC
LIMIT 50;
