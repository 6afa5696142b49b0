-- name: waiting
-- How many commands of the tenant wait, up to what is allowed.
SELECT count(*) FROM (SELECT FROM milepost.parked WHERE tenant_id = %(tenant_id)s LIMIT %(commands_max)s) AS found;

-- name: buried
-- Which of these ids were there once: they were retracted, and nothing that comes can bring them back.
SELECT id FROM milepost.tombstone WHERE tenant_id = %(tenant_id)s AND id = ANY (%(ids)s::uuid[]);

-- name: park
-- In the order in which they came: parked_id grows in it.
INSERT INTO milepost.parked (tenant_id, id, model, received_at, command)
SELECT %(tenant_id)s, id, %(model)s, %(received_at)s, command::jsonb
FROM unnest(%(ids)s::uuid[], %(commands)s::text[]) WITH ORDINALITY AS one (id, command, number)
ORDER BY number;

-- name: take
-- Those whose activity this load has brought. With none waiting, which is nearly always, this is one probe: the delta is not read.
WITH taken AS (
    DELETE FROM milepost.parked
    WHERE tenant_id = %(tenant_id)s AND id = ANY (ARRAY(
        SELECT id FROM delta
        WHERE sign > 0 AND (SELECT EXISTS (SELECT FROM milepost.parked WHERE tenant_id = %(tenant_id)s))
    ))
    RETURNING parked_id, model, received_at, command
)
SELECT model, received_at, command FROM taken ORDER BY parked_id;

-- name: set_aside
-- What waited and cannot be done: nobody is there to be answered.
INSERT INTO milepost.dead_letter (tenant_id, kind, model, rows, batch_rows, received_at, error_class, error, facts, payload)
VALUES (%(tenant_id)s, 1, %(model)s, 1, 1, %(received_at)s, %(error_class)s, %(error)s, %(facts)s, %(payload)b);

-- name: expire
-- A bounded step: those that waited for too long become dead letters, in one statement, so that each is in one place. As the owner.
WITH late AS (
    DELETE FROM milepost.parked AS one
    USING (
        SELECT tenant_id, id, parked_id FROM milepost.parked
        WHERE parked_at < clock_timestamp() - %(hours)s * interval '1 hour'
        LIMIT %(rows_max)s
        FOR UPDATE SKIP LOCKED
    ) AS found
    WHERE one.tenant_id = found.tenant_id AND one.id = found.id AND one.parked_id = found.parked_id
    RETURNING one.tenant_id, one.model, one.received_at, one.parked_at, one.command
)
INSERT INTO milepost.dead_letter (tenant_id, kind, model, rows, batch_rows, received_at, first_failed_at, error_class, error, payload)
SELECT tenant_id, 1, model, 1, 1, received_at, parked_at, 'parked',
    format('Its activity did not come within %%s hours.', %(hours)s::numeric), convert_to(command::text, 'UTF8')
FROM late;
