-- Refused where something lies there that version 1 has no place for. What was replayed and discarded is forgotten.

DO $$
BEGIN
    IF EXISTS (SELECT FROM milepost.parked)
        OR EXISTS (SELECT FROM milepost.dead_letter WHERE kind = 2 OR batch_id IS NULL)
        OR EXISTS (SELECT FROM milepost.dead_letter GROUP BY tenant_id, batch_id HAVING count(*) > 1)
    THEN
        RAISE EXCEPTION 'there are dead letters or parked corrections that an older milepost cannot hold'
            USING ERRCODE = 'object_in_use', HINT = 'Replay or discard them: milepost dead-letters list';
    END IF;
END
$$;
DROP TABLE milepost.parked, milepost.alert, milepost.dead_letter_log;
DROP POLICY tenant ON milepost.dead_letter;
ALTER TABLE milepost.dead_letter DISABLE ROW LEVEL SECURITY;
DROP INDEX milepost.dead_letter_batch, milepost.dead_letter_failed;
ALTER TABLE milepost.dead_letter
    DROP CONSTRAINT dead_letter_pkey,
    DROP CONSTRAINT dead_letter_kind,
    DROP CONSTRAINT dead_letter_rows,
    DROP COLUMN letter_id,
    DROP COLUMN first_row,
    DROP COLUMN batch_rows,
    DROP COLUMN via,
    DROP COLUMN tries,
    DROP COLUMN first_failed_at,
    DROP COLUMN error_class,
    DROP COLUMN facts,
    ALTER COLUMN batch_id SET NOT NULL,
    ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (tenant_id, batch_id);
REVOKE UPDATE ON milepost.dead_letter FROM milepost_service;
