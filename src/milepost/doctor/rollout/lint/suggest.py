"""Which operations of `milepost rollout` have the outcome that a statement had on the clone, ready to be run.

They are read from what the catalogue has now and had not before, so it does not matter how the statement was written. If anything changed
that no operation does, there are none: half of a statement is no advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from milepost.doctor.rollout.lint._bounds import range_of
from milepost.doctor.rollout.lint.shape import Row, Shape
from milepost.doctor.rollout.names import fitted
from milepost.doctor.statements import Statement, expression_text, nodes

__all__ = ["Outcome", "Suggested", "narrowed", "suggested"]

Suggested: TypeAlias = tuple[Mapping[str, Any], ...]
Found: TypeAlias = Iterator[Mapping[str, Any] | None]  # None: something changed that no operation does

ON_DELETE: Final = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
ENDS: Final = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
WHEN: Final = re.compile(r" WHEN \((.*)\)(?= EXECUTE FUNCTION )", re.DOTALL)
UPDATE_OF: Final = re.compile(r"\bUPDATE OF .+?(?= OR | ON )")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a statement did. known: relations that were there before the file. rewritten: of those."""

    statement: Statement
    known: Mapping[int, Row]
    before: Shape
    after: Shape
    rewritten: frozenset[int]

    def stays(self, oid: int) -> bool:
        """A relation that was there, and is."""
        return oid in self.known and oid in self.after.relations

    def table(self, oid: int) -> str:
        return str(self.after.relations[oid]["full_name"])


def suggested(found: Outcome) -> tuple[Suggested, bool]:
    """→ operations, and whether they come before the statement instead of taking its place."""
    if first := tuple(_before_attaching(found)):
        return first, True
    parts = (_relations, _columns, _constraints, _indexes, _triggers, _partitions, _sequences, _built_anew)
    operations = [operation for part in parts for operation in part(found)]
    return (() if None in operations else tuple(filter(None, operations))), False


def _relations(found: Outcome) -> Found:
    for oid, row in found.known.items():
        if row["kind"] not in "iI" and found.after.relations.get(oid, {}).get("full_name") != row["full_name"]:
            yield None


def _columns(found: Outcome) -> Found:
    for key, row in found.before.columns.items():
        if not found.stays(key[0]) or row["inherited"]:
            continue
        now = found.after.columns.get(key)
        of_column = {"table": found.table(key[0]), "column": row["name"]}
        if now is None or now["name"] != row["name"]:
            yield None
        elif now["type"] != row["type"]:
            using = _using(found.statement, row["name"])
            yield {"operation": "change_type", **of_column, "type": now["type"], **({"using": using} if using else {})}
        elif now["not_null"] != row["not_null"]:
            if not _of_new_key(found, key[0], row["name"]):
                yield {"operation": "set_not_null", **of_column} if now["not_null"] else None
        elif now["fallback"] != row["fallback"]:
            yield None
    for key, row in found.after.columns.items():
        if (
            key not in found.before.columns
            and found.stays(key[0])
            and found.known[key[0]]["kind"] in "rp"
            and not row["inherited"]
        ):
            yield _added(found, key[0], row)


def _added(found: Outcome, table: int, row: Row) -> Mapping[str, Any] | None:
    default = row["fallback"]
    if row["computed"] or "nextval(" in (default or "") or (row["not_null"] and default is None):
        return None
    optional = {"default": default, "not_null": row["not_null"]}
    required = {"operation": "add_column", "table": found.table(table), "column": row["name"], "type": row["type"]}
    return required | {name: value for name, value in optional.items() if value}


def _using(statement: Statement, column: str) -> str | None:
    for command in nodes(statement.tree, "AlterTableCmd"):
        definition = getattr(command, "def").column_def
        if command.name == column and definition.HasField("raw_default"):
            return expression_text(definition.raw_default)
    return None


def _constraints(found: Outcome) -> Found:
    for key, row in found.before.constraints.items():
        if found.stays(key[0]):
            now = found.after.constraints.get(key)
            if now is None:
                yield None
            elif now["valid"] and not row["valid"]:
                yield {"operation": "validate_constraint", "table": found.table(key[0]), "constraint": key[1]}
    for key, row in found.after.constraints.items():
        if key in found.before.constraints or not found.stays(key[0]):
            continue
        plain = {"table": found.table(key[0]), "name": key[1]}
        if row["kind"] == "c" and not row["special"]:
            yield {"operation": "add_check", **plain, "check": row["condition"]}
        elif row["kind"] == "f" and not row["special"] and found.stays(row["to_oid"]):
            ends = {"columns": row["columns"], "references": found.table(row["to_oid"]), "referenced": row["referenced"]}
            yield {"operation": "add_foreign_key", **plain, **ends, "on_delete": ON_DELETE[row["on_delete"]]}
        elif row["kind"] in "pu" and not row["special"]:
            yield _key(found, key[0], row)
        else:
            yield None


def _key(found: Outcome, table: int, row: Row) -> Mapping[str, Any] | None:
    """A key with more to it than its columns is none that the operation makes."""
    indexes = (one for one in found.after.indexes.values() if one["table_oid"] == table and one["name"] == row["name"])
    plain = any(not one["nulls_equal"] and not one["include"] and not one["options"] for one in indexes)
    if not plain or found.known[table]["kind"] != "r":
        return None
    key = {"operation": "add_key", "table": found.table(table), "columns": row["columns"], "name": row["name"]}
    return key | ({"primary": True} if row["kind"] == "p" else {})


def _of_new_key(found: Outcome, table: int, column: str) -> bool:
    """Its primary key makes it NOT NULL."""
    return any(
        key[0] == table and key not in found.before.constraints and row["kind"] == "p" and column in row["columns"]
        for key, row in found.after.constraints.items()
    )


def _indexes(found: Outcome) -> Found:
    for name, row in found.before.indexes.items():
        if found.stays(row["table_oid"]) and name not in found.after.indexes and not row["of_constraint"]:
            yield {"operation": "drop_index", "index": name} if row["kind"] == "i" else None
    for name, row in found.after.indexes.items():
        if found.stays(row["table_oid"]) and name not in found.before.indexes and not row["of_constraint"]:
            yield None if row["nulls_equal"] else _made(found, row)


def _made(found: Outcome, row: Row) -> Mapping[str, Any]:
    names = {column["name"] for column in found.after.columns_of(row["table_oid"]).values()}
    optional = {
        "include": row["include"],
        "where": row["condition"],
        "method": row["method"] if row["method"] != "btree" else None,
        "unique": row["unique"],
        "with": dict(option.split("=", 1) for option in row["options"]),
    }
    elements = [_unquoted(one) if _unquoted(one) in names else one for one in _elements(row["definition"])]
    required = {"operation": "create_index", "table": found.table(row["table_oid"]), "columns": elements, "name": row["name"]}
    return required | {name: value for name, value in optional.items() if value}


def _elements(definition: str) -> list[str]:
    """What stands in the brackets behind USING, element by element."""
    text = definition.partition(" USING ")[2]
    text = text[text.index("(") + 1 :]
    elements, depth, quote, start = [], 0, "", 0
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif depth == 0 and sign in ",)":
            elements.append(text[start:place].strip())
            start = place + 1
            if sign == ")":
                break
        else:
            depth += {"(": 1, ")": -1}.get(sign, 0)
    return elements


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') and name.endswith('"') else name


def _triggers(found: Outcome) -> Found:
    for key, row in found.before.triggers.items():
        if not found.stays(key[0]):
            continue
        now, of_trigger = found.after.triggers.get(key), {"table": found.table(key[0]), "trigger": key[1]}
        if now is None:
            yield {"operation": "drop_trigger", **of_trigger}
        elif now["enabled"] != row["enabled"]:
            yield {"operation": "disable_trigger", **of_trigger} if now["enabled"] == "D" else None
        elif now["definition"] != row["definition"]:
            yield narrowed(found.table(key[0]), row, now)
    if any(found.stays(key[0]) for key in found.after.triggers.keys() - found.before.triggers.keys()):
        yield None


def narrowed(table: str, row: Row, now: Row) -> Mapping[str, Any] | None:
    """The operation that makes a trigger fire less; None if more changed than that."""

    def rest(definition: str) -> str:
        return WHEN.sub("", UPDATE_OF.sub("UPDATE", definition))

    when = WHEN.search(now["definition"])
    if rest(row["definition"]) != rest(now["definition"]) or (not now["update_of"] and when is None):
        return None
    found: dict[str, Any] = {"operation": "narrow_trigger", "table": table, "trigger": now["name"]}
    found |= {"update_of": now["update_of"]} if now["update_of"] else {}
    return found | ({"when": when[1]} if when else {})


def _partitions(found: Outcome) -> Found:
    for oid, row in found.after.partitions.items():
        if oid not in found.before.partitions and found.stays(row["parent"]):
            between = range_of(row["bounds"])
            if oid in found.before.relations or between is None:
                yield None
            else:
                bounds = [list(bound) if len(bound) > 1 else bound[0] for bound in between]
                yield {"operation": "create_partitions", "table": found.table(row["parent"]), "bounds": bounds}
    if any(oid in found.after.relations for oid in found.before.partitions.keys() - found.after.partitions.keys()):
        yield None


def _before_attaching(found: Outcome) -> Iterator[Mapping[str, Any]]:
    """A table that is attached is not read if a check of its own says that its rows fit."""
    for oid, row in found.after.partitions.items():
        if found.stays(oid) and oid not in found.before.partitions:
            name = fitted(f"{found.table(oid).rpartition('.')[2].strip(chr(34))}_fits")
            yield {"operation": "add_check", "table": found.table(oid), "name": name, "check": row["condition"]}


def _sequences(found: Outcome) -> Found:
    for oid, row in found.before.sequences.items():
        now = found.after.sequences.get(oid)
        if found.stays(oid) and now is not None and (now["type"], now["maximum"]) != (row["type"], row["maximum"]):
            end = {} if now["maximum"] == ENDS[now["type"]] else {"maximum": now["maximum"]}
            yield {"operation": "alter_sequence", "sequence": found.table(oid), "type": now["type"], **end}


def _built_anew(found: Outcome) -> Found:
    kind = found.statement.kind
    for oid in sorted(found.rewritten):
        row = found.known[oid]
        if row["kind"] == "i" and kind == "reindex_stmt":
            yield {"operation": "reindex", "index": row["full_name"]}
        elif row["kind"] == "m" and kind == "refresh_mat_view_stmt":
            unique = (one for one in found.before.indexes.values() if one["table_oid"] == oid and one["unique"])
            whole = any(not one["computed"] and one["condition"] is None for one in unique)
            yield {"operation": "refresh_view", "view": row["full_name"]} if whole else None
        elif row["kind"] == "r" and kind == "vacuum_stmt":
            keyed = any(key[0] == oid and one["kind"] == "p" for key, one in found.before.constraints.items())
            yield {"operation": "rewrite_table", "table": row["full_name"]} if keyed else None
        elif row["kind"] in "rm" and kind in ("vacuum_stmt", "cluster_stmt", "truncate_stmt"):
            yield None
