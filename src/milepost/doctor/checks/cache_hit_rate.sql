-- name: rows
-- Of this database since its counters began.
SELECT blks_hit::float8 / (blks_hit + blks_read) AS part, blks_read * %(block_bytes)s AS read_bytes,
       pg_size_bytes(current_setting('shared_buffers')) AS buffers_bytes
FROM pg_stat_database
WHERE datname = current_database() AND blks_read * %(block_bytes)s >= %(read_bytes_min)s
  AND blks_hit < %(part_min)s * (blks_hit + blks_read);
