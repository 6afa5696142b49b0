-- name: relations
-- What was there before a statement, and the file it lies in: another file is a rewrite.
SELECT c.oid::bigint AS oid, c.oid::regclass::text AS name, format('%I.%I', n.nspname, c.relname) AS full_name, c.relkind::text AS kind,
       pg_relation_filenode(c.oid)::bigint AS file, i.indrelid::bigint AS table_oid
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I', 'v', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- name: columns
-- By table and number, which a new name does not change.
SELECT a.attrelid::bigint AS table_oid, a.attnum, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       pg_get_expr(d.adbin, d.adrelid) AS fallback, a.attidentity <> '' OR a.attgenerated <> '' AS computed, a.attinhcount > 0 AS inherited
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE c.relkind IN ('r', 'p', 'm', 'v') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- name: indexes
-- Those of partitions belong to their table's.
SELECT format('%I.%I', n.nspname, c.relname) AS full_name, c.relname AS name, i.indrelid::bigint AS table_oid, c.relkind::text AS kind,
       m.amname AS method, i.indisunique AS "unique", i.indnullsnotdistinct AS nulls_equal, pg_get_indexdef(c.oid) AS definition,
       pg_get_expr(i.indpred, i.indrelid) AS condition, i.indexprs IS NOT NULL AS computed, coalesce(c.reloptions, '{}') AS options,
       array(SELECT a.attname FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place) JOIN pg_attribute a
             ON (a.attrelid, a.attnum) = (i.indrelid, k.number) WHERE k.place > i.indnkeyatts ORDER BY k.place) AS include,
       array(SELECT a.attname FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place) JOIN pg_attribute a
             ON (a.attrelid, a.attnum) = (i.indrelid, k.number) WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS keys,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')) AS of_constraint
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam
WHERE NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- name: constraints
-- Those of partitions belong to their table's.
SELECT k.conrelid::bigint AS table_oid, k.conname AS name, k.contype::text AS kind, k.convalidated AS valid,
       pg_get_expr(k.conbin, k.conrelid) AS condition, k.confrelid::bigint AS to_oid, k.confdeltype::text AS on_delete,
       k.condeferrable OR k.connoinherit AND k.contype = 'c' OR k.confupdtype NOT IN ('a', ' ') OR k.confmatchtype NOT IN ('s', ' ')
           OR k.confdelsetcols IS NOT NULL AS special,
       array(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY u(number, place) JOIN pg_attribute a
             ON (a.attrelid, a.attnum) = (k.conrelid, u.number) ORDER BY u.place) AS columns,
       array(SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY u(number, place) JOIN pg_attribute a
             ON (a.attrelid, a.attnum) = (k.confrelid, u.number) ORDER BY u.place) AS referenced
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conrelid <> 0 AND k.conislocal AND k.conparentid = 0
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- name: triggers
-- Those of constraints and of partitions belong to them.
SELECT t.tgrelid::bigint AS table_oid, t.tgname AS name, t.tgenabled::text AS enabled, pg_get_triggerdef(t.oid) AS definition,
       array(SELECT a.attname FROM unnest(t.tgattr::int2[]) u(number) JOIN pg_attribute a ON (a.attrelid, a.attnum) = (t.tgrelid, u.number)
             ORDER BY a.attnum) AS update_of
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- name: partitions
-- Between which bounds, of what; of a table that is attached, the condition that its rows must meet.
SELECT c.oid::bigint AS oid, i.inhparent::bigint AS parent, pg_get_expr(c.relpartbound, c.oid) AS bounds,
       pg_get_partition_constraintdef(c.oid) AS condition
FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relispartition AND c.relkind IN ('r', 'p');

-- name: partitioned
-- By which one column; null where it is several or an expression.
SELECT p.partrelid::bigint AS oid, p.partstrat::text AS strategy, a.attname AS by
FROM pg_partitioned_table p LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND p.partnatts = 1 AND a.attnum = p.partattrs[0];

-- name: sequences
-- How far each counts.
SELECT seqrelid::bigint AS oid, seqtypid::regtype::text AS type, seqmax AS maximum FROM pg_sequence;
