-- Measures what 2026-11-20-objects-are-not-interned.md says. For an empty database: psql -q -f FILE URL

CREATE TABLE stage AS
SELECT n, 'workout' AS kind, 'w-' || md5(n::text) AS id, gen_random_uuid() AS activity FROM generate_series(1, 200000) AS n;

CREATE TABLE as_text (
    tenant_id integer, id uuid, object_kind text COLLATE "C", object_id text COLLATE "C", PRIMARY KEY (tenant_id, id)
);
CREATE INDEX ON as_text (tenant_id, object_kind, object_id, id);

CREATE TABLE object (
    tenant_id integer, object_id bigint GENERATED ALWAYS AS IDENTITY, kind text COLLATE "C", external_id text COLLATE "C",
    PRIMARY KEY (tenant_id, object_id), UNIQUE (tenant_id, kind, external_id)
);
CREATE TABLE as_number (tenant_id integer, id uuid, object_id bigint, PRIMARY KEY (tenant_id, id));
CREATE INDEX ON as_number (tenant_id, object_id, id);

CREATE TEMP TABLE result (what text, ms numeric, wal bigint);

CREATE PROCEDURE measure(what text, statements text[]) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    lsn pg_lsn;
    statement text;
BEGIN
    COMMIT;
    began := clock_timestamp();
    lsn := pg_current_wal_insert_lsn();
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    COMMIT;
    INSERT INTO result
    VALUES (what, extract(epoch FROM clock_timestamp() - began) * 1000, pg_current_wal_insert_lsn() - lsn);
    COMMIT;
END $$;

DO $$
BEGIN
    FOR batch IN 0..9 LOOP
        CALL measure('text', ARRAY[
            format('INSERT INTO as_text SELECT 1, activity, kind, id FROM stage WHERE n %% 10 = %s', batch)
        ]);
        CALL measure('interned', ARRAY[
            format('INSERT INTO object (tenant_id, kind, external_id)
                    SELECT 1, kind, id FROM stage WHERE n %% 10 = %s ON CONFLICT DO NOTHING', batch),
            format('INSERT INTO as_number SELECT 1, s.activity, o.object_id
                    FROM stage AS s JOIN object AS o ON o.tenant_id = 1 AND o.kind = s.kind AND o.external_id = s.id
                    WHERE s.n %% 10 = %s', batch)
        ]);
    END LOOP;
END $$;

SELECT what, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric) AS median_ms,
    round(avg(wal) / 20000) AS wal_bytes_a_row
FROM result GROUP BY what;

SELECT pg_size_pretty(pg_total_relation_size('as_text')) AS text,
    pg_size_pretty(pg_total_relation_size('as_number') + pg_total_relation_size('object')) AS interned;
