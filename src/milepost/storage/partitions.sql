-- Partitions of the activity table. Run by the owner.

-- name: list_partitions
-- What there is, with the bounds as text: FOR VALUES FROM ('…') TO ('…').
SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'milepost.activity'::regclass
ORDER BY c.relname;

-- name: lock_activity
-- What ATTACH takes anyway, taken first: one maker at a time, and nobody alters the table between LIKE and ATTACH. Readers
-- and writers go on.
LOCK TABLE milepost.activity IN SHARE UPDATE EXCLUSIVE MODE;

-- name: statements
-- The statements that make one partition; format() quotes, since DDL takes no parameters. The CHECK says the same as the
-- bounds, so that ATTACH need not read the table, and goes when it has done its work. Of grants there is INSERT alone, for a lane's COPY,
-- which a policy would refuse (milepost.intake.write): rows are read and changed through milepost.activity, whose policy then holds.
SELECT format('CREATE TABLE milepost.%%I (LIKE milepost.activity INCLUDING ALL,'
              ' CONSTRAINT bounds CHECK (id >= %%L AND id < %%L))', name, low, high),
       format('ALTER TABLE milepost.activity ATTACH PARTITION milepost.%%I FOR VALUES FROM (%%L) TO (%%L)', name, low, high),
       format('ALTER TABLE milepost.%%I DROP CONSTRAINT bounds', name),
       format('GRANT INSERT ON milepost.%%I TO milepost_service', name)
FROM (VALUES (%(name)s::text, %(low)s::uuid, %(high)s::uuid)) AS wanted (name, low, high);
