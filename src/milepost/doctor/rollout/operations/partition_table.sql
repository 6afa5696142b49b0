-- name: key
-- The primary key's columns, and of the column to partition by whether it can be null; no key: no row.
SELECT a.attnotnull AS not_null, a.attnum,
       (SELECT array_agg(k.attname::text ORDER BY u.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(number, place)
        JOIN pg_attribute k ON (k.attrelid, k.attnum) = (i.indrelid, u.number) WHERE u.place <= i.indnkeyatts) AS columns
FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = %(by)s AND a.attnum > 0
WHERE i.indrelid = %(table)s AND i.indisprimary;

-- name: hindrances
-- What a partitioned table cannot have, beside what no twin can; each with its reason.
SELECT format('a partitioned table cannot have the constraint trigger %%s', conname) AS why FROM pg_constraint
WHERE conrelid = %(table)s AND contype = 't'
UNION ALL
SELECT format('a partitioned table cannot have the trigger %%s, for each row with a transition table', tgname) FROM pg_trigger
WHERE tgrelid = %(table)s AND tgtype & 1 = 1 AND (tgoldtable IS NOT NULL OR tgnewtable IS NOT NULL)
UNION ALL
SELECT format('the foreign key %%s of %%s refers to a key without %%s, which cannot stay unique by itself', conname, conrelid::regclass, %(by)s::text)
FROM pg_constraint
WHERE contype = 'f' AND confrelid = %(table)s AND conparentid = 0 AND NOT %(attnum)s = ANY (confkey)
UNION ALL
SELECT format('%%s does not contain %%s: unique over all partitions is only what does. `widen_keys = true` adds it', c.relname, %(by)s::text)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %(table)s AND i.indisunique AND NOT %(widen)s
  AND NOT %(attnum)s = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]);

-- name: make
-- Beside the table, with all that LIKE brings; indexes need the key's columns, so they are made one by one.
CREATE TABLE {copy} (LIKE {table} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE ({by});

-- name: make_partition
-- With the name that it keeps.
CREATE TABLE {partition} PARTITION OF {copy} FOR VALUES FROM ({lower}) TO ({upper}) {storage};
