-- name: hindrances
-- What would not follow to another table; each with its reason.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) || ' rests on it' AS why
FROM pg_depend d JOIN pg_class t ON t.oid = %(table)s
WHERE (d.refclassid, d.refobjid) IN (('pg_class'::regclass, t.oid), ('pg_type'::regclass, t.reltype))
  AND (d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass) OR d.refclassid = 'pg_type'::regclass AND d.deptype = 'n')
  AND NOT (d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND EXISTS (
      SELECT FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class WHERE r.oid = d.objid AND v.relkind = 'v' AND r.rulename = '_RETURN'))
UNION ALL
SELECT 'it is inherited from, or by, another' FROM pg_inherits WHERE %(table)s IN (inhrelid, inhparent)
UNION ALL
SELECT 'it is not an ordinary logged table with its default replica identity' FROM pg_class
WHERE oid = %(table)s AND (relpersistence <> 'p' OR relreplident <> 'd' OR reloftype <> 0)
UNION ALL
SELECT 'the publication ' || p.pubname || ' has it' FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
WHERE r.prrelid = %(table)s
UNION ALL
SELECT 'the subscription ' || coalesce(s.subname, '') || ' writes to it' FROM pg_subscription_rel r LEFT JOIN pg_subscription s ON s.oid = r.srsubid
WHERE r.srrelid = %(table)s
UNION ALL
SELECT format('the constraint %%s cannot follow: it is %%s', conname, CASE contype WHEN 'x' THEN 'an exclusion' ELSE 'deferrable' END) FROM pg_constraint
WHERE conrelid = %(table)s AND (contype = 'x' OR contype IN ('p', 'u') AND condeferrable)
UNION ALL
SELECT format('the constraint %%s is not validated: validate it first', conname) FROM pg_constraint
WHERE conrelid = %(table)s AND NOT convalidated
UNION ALL
SELECT format('the foreign key %%s comes from %%s', conname, CASE WHEN conrelid = confrelid THEN 'itself' ELSE 'a partitioned table' END)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE contype = 'f' AND confrelid = %(table)s AND conparentid = 0 AND (conrelid = confrelid OR c.relkind = 'p');

-- name: columns
-- Those that are written, in order; what is generated is computed again.
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

-- name: facts
-- Whose it is and how its rows are stored, those that are kept beside it included.
SELECT pg_get_userbyid(c.relowner) AS owner, s.spcname AS tablespace, m.amname AS method,
       array_to_string(coalesce(c.reloptions, '{}') || array(SELECT 'toast.' || o FROM pg_class t, unnest(t.reloptions) o WHERE t.oid = c.reltoastrelid), ', ')
           AS options
FROM pg_class c JOIN pg_am m ON m.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = %(table)s;

-- name: indexes
-- Valid ones, with what makes each: a constraint, or the definition.
SELECT c.relname AS name, i.indisunique AS "unique", pg_get_indexdef(c.oid) AS definition, pg_get_constraintdef(k.oid) AS constraint_definition,
       %(attnum)s = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS contains
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u')
WHERE i.indrelid = %(table)s AND i.indisvalid
ORDER BY i.indisprimary DESC, c.relname;

-- name: foreign_keys
-- From the table to others.
SELECT conname AS name, pg_get_constraintdef(oid) AS definition, confrelid::bigint AS oid FROM pg_constraint
WHERE conrelid = %(table)s AND contype = 'f' ORDER BY conname;

-- name: referring
-- From others to the table, as statements on them.
SELECT n.nspname AS schema, c.relname AS table, k.conname AS name, pg_get_constraintdef(k.oid) AS definition, k.convalidated AS valid
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.confrelid = %(table)s AND k.conparentid = 0 ORDER BY k.oid;

-- name: triggers
-- The application's own, with their state.
SELECT tgname AS name, tgenabled::text AS enabled, pg_get_triggerdef(oid) AS definition FROM pg_trigger
WHERE tgrelid = %(table)s AND NOT tgisinternal AND tgname <> ALL (%(ours)s) ORDER BY tgname;

-- name: belongings
-- Rights, policies and comments, as statements that name the table as it is called.
WITH t AS (SELECT c.*, format('%%I.%%I', n.nspname, c.relname) AS called FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %(table)s)
SELECT format('GRANT %%s ON %%s TO %%s%%s', a.privilege_type, called, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
FROM t, aclexplode(t.relacl) a
UNION ALL
SELECT format('GRANT %%s (%%I) ON %%s TO %%s%%s', a.privilege_type, c.attname, called,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped, aclexplode(c.attacl) a
UNION ALL
SELECT format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s', p.polname, called, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
              CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
              (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END, ', ') FROM unnest(p.polroles) role))
       || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
       || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
FROM t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT format('ALTER TABLE %%s ALTER COLUMN %%I SET STATISTICS %%s', called, c.attname, c.attstattarget)
FROM t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped WHERE c.attstattarget >= 0
UNION ALL
SELECT format('ALTER TABLE %%s ENABLE ROW LEVEL SECURITY', called) FROM t WHERE relrowsecurity
UNION ALL
SELECT format('ALTER TABLE %%s FORCE ROW LEVEL SECURITY', called) FROM t WHERE relforcerowsecurity
UNION ALL
SELECT format('COMMENT ON TABLE %%s IS %%L', called, obj_description(oid, 'pg_class')) FROM t WHERE obj_description(oid, 'pg_class') IS NOT NULL;

-- name: views
-- Views that read the table, the outermost first, as statements that bind them to the one that bears its name by then, and that lock the view
-- alone: who reads one locks it before its tables, and so must we (LOCK would take all its tables). Materialized ones are refused.
SELECT DISTINCT v.oid, format('ALTER VIEW %%I.%%I OWNER TO %%I', n.nspname, v.relname, pg_get_userbyid(v.relowner)) AS lock,
       format('CREATE OR REPLACE VIEW %%I.%%I%%s AS %%s', n.nspname, v.relname,
              CASE WHEN v.reloptions IS NULL THEN '' ELSE ' WITH (' || array_to_string(v.reloptions, ', ') || ')' END, pg_get_viewdef(v.oid)) AS bind
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %(table)s AND v.relkind = 'v'
ORDER BY v.oid DESC;

-- name: sequences
-- Of serial columns (`a`, the sequence moves to the other table) and of identities (`i`, each table has one, and the number moves).
SELECT n.nspname AS schema, c.relname AS name, a.attname AS column, d.deptype::text AS kind
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %(table)s AND d.deptype IN ('a', 'i');

-- name: make_index
-- Likewise on an empty table.
CREATE {unique} INDEX {name} ON {table} USING {rest};

-- name: give
-- Whose the table is.
ALTER TABLE {table} OWNER TO {owner};

-- name: add_constraint
-- On an empty table: a moment.
ALTER TABLE {table} ADD CONSTRAINT {name} {definition};

-- name: add_later
-- The rows that are there were valid; they are looked at once more without a lock that blocks.
ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID;

-- name: make_missed
-- What the triggers could not do to the twin, until a comparison has seen to it.
CREATE TABLE {missed} (at timestamptz NOT NULL DEFAULT clock_timestamp());

-- name: forget_missed
-- Before a comparison, which sees whatever was missed until now.
DELETE FROM {missed};

-- name: none_missed
-- Fails if something was missed since the last comparison; nobody writes meanwhile.
ALTER TABLE {missed} ADD CONSTRAINT none_missed CHECK (false);

-- name: may_miss
-- From now on in the other direction.
ALTER TABLE {missed} DROP CONSTRAINT none_missed;

-- name: make_function
-- Whatever is written to one table is written to the other, in the same transaction. A row that the other cannot take (no partition, a
-- key that is there) must not fail the application's statement: it is noted.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS {body};

-- name: body
-- An update may move a row to another partition, so it is taken out and put in. A transaction whose snapshot is older than the copying of a
-- row cannot see that row in the twin, neither to take it out nor to replace it.
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE {to};
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM {to} WHERE ({key}) = ({old});
        IF NOT FOUND AND current_setting('transaction_isolation') <> 'read committed' THEN
            INSERT INTO {missed} DEFAULT VALUES;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {to} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({new}) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
EXCEPTION WHEN check_violation OR serialization_failure THEN
    INSERT INTO {missed} DEFAULT VALUES;
    RETURN NULL;
END;

-- name: make_trigger
-- For each row that is written.
CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();

-- name: make_truncate_trigger
-- For all of them.
CREATE TRIGGER {trigger} AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {function}();

-- name: always
-- For sessions in whose role triggers rest, too (session_replication_role).
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger};

-- name: fill
-- Locked for the moment, so that a row is not changed between being read here and being there.
INSERT INTO {to} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {table} WHERE true;

-- name: differing
-- Rows that one has and the other has not, by the hash of the whole row; both as of one moment.
SELECT count(*) FROM (
    SELECT {key}, hashtextextended(ROW({columns})::text, 0) AS hash FROM {table}) one
FULL JOIN (
    SELECT {key}, hashtextextended(ROW({columns})::text, 0) AS hash FROM {to}) other USING ({key}, hash)
WHERE one.hash IS NULL OR other.hash IS NULL;

-- name: remove_stale
-- What a transaction of an old snapshot could not see to remove.
DELETE FROM {to} other WHERE NOT EXISTS (
    SELECT FROM {table} one WHERE ROW({one}) = ROW({other})
        AND hashtextextended(ROW({one_columns})::text, 0) = hashtextextended(ROW({other_columns})::text, 0));

-- name: analyze
-- The planner knows it from the first moment.
ANALYZE {table};

-- name: lock
-- All at once, and first.
LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE;

-- name: quiet_triggers
-- What the other table's rows fired is not fired again when they are written here.
ALTER TABLE {table} DISABLE TRIGGER USER;

-- name: drop_constraint
-- Made again towards the table that takes the name.
ALTER TABLE {table} DROP CONSTRAINT {name};

-- name: rename
-- The moment of the change.
ALTER TABLE {table} RENAME TO {name};

-- name: rename_index
-- Constraints that rest on it follow.
ALTER INDEX {index} RENAME TO {name};

-- name: own_from_now
-- Dropping the other table must not take the sequence.
ALTER SEQUENCE {sequence} OWNED BY {column};

-- name: count_on
-- An identity goes on where the other table's is.
SELECT setval(pg_get_serial_sequence({to}, {column}), last_value, is_called) FROM {sequence};

-- name: drop_trigger
-- Of ours.
DROP TRIGGER IF EXISTS {trigger} ON {table};

-- name: drop_function
-- With its triggers gone.
DROP FUNCTION IF EXISTS {function}();

-- name: drop_table
-- Of the twin, with its partitions; of what was missed.
DROP TABLE IF EXISTS {table};

-- name: storage
-- As the table has them, which the partitions have to have.
WITH ({options});
