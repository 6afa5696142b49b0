-- name: trigger
-- A trigger of a table, as it can be made again. Those of constraints belong to them.
SELECT t.tgname AS name, t.tgenabled::text AS enabled, pg_get_triggerdef(t.oid) AS definition,
       quote_ident(t.tgname) AS quoted, t.tgconstraint <> 0 AS of_constraint, t.tgparentid <> 0 AS of_parent
FROM pg_trigger t WHERE t.tgrelid = %(table)s AND t.tgname = %(trigger)s AND NOT t.tgisinternal;

-- name: switch
-- Takes SHARE ROW EXCLUSIVE: reads go on, writes wait for a moment.
ALTER TABLE {table} {switch} TRIGGER {trigger};

-- name: drop
-- Its function stays.
DROP TRIGGER IF EXISTS {trigger} ON {table};
