-- name: rows
-- A receiver that applies nothing has what it flushed. A replica that does not answer has no lag in time: the age of what it last confirmed counts then.
SELECT coalesce(nullif(application_name, ''), client_addr::text, 'unnamed') AS name, state,
       greatest(extract(epoch FROM replay_lag), extract(epoch FROM now() - reply_time), 0)::float8 AS lag_s,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, coalesce(replay_lsn, flush_lsn, write_lsn)) AS lag_bytes
FROM pg_stat_replication
WHERE state IN ('streaming', 'catchup')
  AND greatest(extract(epoch FROM replay_lag), extract(epoch FROM now() - reply_time), 0) >= %(lag_s_min)s
  AND pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, coalesce(replay_lsn, flush_lsn, write_lsn))
      >= %(lag_bytes_min)s;
