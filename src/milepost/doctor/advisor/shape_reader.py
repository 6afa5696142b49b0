"""Reads from a statement's tree what it asks of each table.

A query inside a query is looked at by itself, with the tables around it as its outer ones; a name that stands for no table (a CTE, a function, a
subquery) asks nothing. What cannot be told to be a table's is left out: a shape says at most what is there, and a candidate that does not help
costs one look of the planner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import postgast

from milepost.doctor.advisor._tree import everything, present, unqualified, walk
from milepost.doctor.advisor.relations import Relations
from milepost.doctor.advisor.shapes import Access, Shape

__all__ = ["read_shape", "written_by"]

FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}
GIN_OPERATORS = frozenset({"@>", "<@", "?", "?|", "?&", "&&", "@@", "@?"})
QUERY_NODES = ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")


def read_shape(sql: str, relations: Relations) -> Shape:
    shape = Shape()
    for stmt in postgast.parse(sql).stmts:
        _Reader(relations, shape).query(stmt.stmt, ())
    return shape


def written_by(sql: str) -> str | None:
    """`insert`, `update`, `delete` or `merge` of a statement that changes rows anywhere in it (`WITH … UPDATE`); None if it reads."""
    found = (node.WhichOneof("node") for stmt in postgast.parse(sql).stmts for node in everything(stmt.stmt))
    return next((kind.removesuffix("_stmt") for kind in found if kind in QUERY_NODES and kind != "select_stmt"), None)


Scope = dict[str, Access | None]  # by alias; None: no table


class _Reader:
    def __init__(self, relations: Relations, shape: Shape) -> None:
        self._relations = relations
        self._shape = shape
        self._ctes: set[str] = set()

    def query(self, node: Any, outer: tuple[Scope, ...]) -> None:
        kind = node.WhichOneof("node")
        statement = getattr(node, kind)
        if kind == "select_stmt":
            self._select(statement, outer)
        elif kind in QUERY_NODES:
            self._change(kind, statement, outer)

    def _select(self, statement: Any, outer: tuple[Scope, ...]) -> None:
        self._with(statement, outer)
        if statement.HasField("larg"):
            self._select(statement.larg, outer)
            self._select(statement.rarg, outer)
            return
        scope: Scope = {}
        scopes = (scope, *outer)
        on = [qual for item in statement.from_clause for qual in self._from(item, scope, scopes)]
        for item in statement.target_list:
            self._note(item, scopes)
        for qual in [*on, *present(statement, "where_clause")]:
            self._note(qual, scopes)
            self._condition(qual, scopes)
        for group in statement.group_clause:
            self._note(group, scopes)
            self._key(group, scopes, "grouped")
        for clause in ("having_clause", "limit_count", "limit_offset"):
            for found in present(statement, clause):
                self._note(found, scopes)
        for item in (*statement.sort_clause, *statement.distinct_clause):
            self._note(item, scopes)
        self._order(statement, scopes)

    def _change(self, kind: str, statement: Any, outer: tuple[Scope, ...]) -> None:
        self._with(statement, outer)
        scope: Scope = {}
        scopes = (scope, *outer)
        access = self._table(statement.relation, scope)
        verb = kind.removesuffix("_stmt")
        if access is not None:
            access.read = None  # a row that is changed is fetched
            kept = [item.res_target for item in statement.target_list] if verb == "update" else []
            self._shape.written = (access.table.name, verb, frozenset(target.name for target in kept))
            if verb in ("insert", "merge"):
                self._shape.accesses.remove(access)
        if verb == "insert":
            for inner in present(statement, "select_stmt"):
                self.query(inner, outer)
            return
        sources = {"update": "from_clause", "delete": "using_clause"}.get(verb)
        on = [qual for item in (getattr(statement, sources) if sources else ()) for qual in self._from(item, scope, scopes)]
        if verb == "update":
            for item in statement.target_list:
                self._note(item, scopes)
        if verb == "merge":
            on += [*self._from(statement.source_relation, scope, scopes), statement.join_condition]
        for qual in [*on, *(present(statement, "where_clause") if verb != "merge" else ())]:
            self._note(qual, scopes)
            self._condition(qual, scopes)

    def _with(self, statement: Any, outer: tuple[Scope, ...]) -> None:
        if statement.HasField("with_clause"):
            for cte in statement.with_clause.ctes:
                self._ctes.add(cte.common_table_expr.ctename)
            for cte in statement.with_clause.ctes:
                self.query(cte.common_table_expr.ctequery, outer)

    def _from(self, item: Any, scope: Scope, scopes: tuple[Scope, ...]) -> Iterator[Any]:
        """Fills the scope; → the conditions of joins."""
        kind = item.WhichOneof("node")
        if kind == "range_var":
            self._table(item.range_var, scope)
        elif kind == "join_expr":
            yield from self._from(item.join_expr.larg, scope, scopes)
            yield from self._from(item.join_expr.rarg, scope, scopes)
            for name in item.join_expr.using_clause:
                for access in filter(None, scope.values()):
                    if name.string.sval in access.table.columns:
                        _add(access.joined, access.table.columns[name.string.sval].quoted)
                        _read(access, name.string.sval)
            if item.join_expr.HasField("quals"):
                yield item.join_expr.quals
        elif kind == "range_subselect":
            self.query(item.range_subselect.subquery, scopes)
            scope[item.range_subselect.alias.aliasname] = None
        elif kind is not None:
            scope[getattr(item, kind).alias.aliasname] = None

    def _table(self, var: Any, scope: Scope) -> Access | None:
        alias = var.alias.aliasname or var.relname
        table = None
        if var.schemaname or var.relname not in self._ctes:
            table = self._relations.find(var.schemaname, var.relname)
        scope[alias] = Access(table=table) if table is not None else None
        if (access := scope[alias]) is not None:
            self._shape.accesses.append(access)
        return access

    def _resolve(self, ref: Any, scopes: tuple[Scope, ...]) -> tuple[Access, str] | None:
        names = [part.string.sval for part in ref.fields if part.WhichOneof("node") == "string"]
        if not names or len(names) < len(ref.fields):
            return None
        for scope in scopes:
            if len(names) > 1:
                if names[-2] in scope:
                    access = scope[names[-2]]
                    return (access, names[-1]) if access is not None and names[-1] in access.table.columns else None
                continue
            for access in filter(None, scope.values()):
                if names[0] in access.table.columns:
                    return access, names[0]
        return None

    def _note(self, node: Any, scopes: tuple[Scope, ...]) -> None:
        """Which columns are read anywhere below, and queries inside."""
        for found in walk(node):
            kind = found.WhichOneof("node")
            if kind == "sub_link":
                self.query(found.sub_link.subselect, scopes)
            elif kind == "column_ref":
                fields = found.column_ref.fields
                if fields[-1].WhichOneof("node") == "a_star":
                    for alias, access in scopes[0].items():
                        if access is not None and (len(fields) == 1 or fields[-2].string.sval == alias):
                            access.read = None
                elif (resolved := self._resolve(found.column_ref, scopes)) is not None:
                    _read(*resolved)
                elif len(fields) == 1 and (whole := scopes[0].get(fields[0].string.sval)) is not None:
                    whole.read = None  # a row as a value

    def _key_of(self, node: Any, scopes: tuple[Scope, ...]) -> tuple[Access, str] | None:
        """The table of which this is a column, or an expression of its columns alone, and its SQL as an index's key."""
        if node.WhichOneof("node") == "column_ref":
            resolved = self._resolve(node.column_ref, scopes)
            return None if resolved is None else (resolved[0], resolved[0].table.columns[resolved[1]].quoted)
        found = {id(one): one for one, _ in self._columns(node, scopes)}
        if len(found) != 1 or any(n.WhichOneof("node") in ("param_ref", "sub_link") for n in walk(node)):
            return None
        (access,) = found.values()
        return access, f"({unqualified(node)})"

    def _columns(self, node: Any, scopes: tuple[Scope, ...]) -> Iterator[tuple[Access, str]]:
        for found in walk(node):
            if found.WhichOneof("node") == "column_ref" and (resolved := self._resolve(found.column_ref, scopes)) is not None:
                yield resolved

    def _key(self, node: Any, scopes: tuple[Scope, ...], list_name: str) -> None:
        if (found := self._key_of(node, scopes)) is not None:
            _add(getattr(found[0], list_name), found[1])

    def _condition(self, node: Any, scopes: tuple[Scope, ...]) -> None:
        kind = node.WhichOneof("node")
        if kind == "bool_expr":
            # An arm of OR can be looked up by itself; of NOT, nothing can.
            for arg in node.bool_expr.args if node.bool_expr.boolop != postgast.pg_query_pb2.NOT_EXPR else ():
                self._condition(arg, scopes)
        elif kind == "a_expr":
            self._comparison(node, scopes)
        elif kind == "null_test":
            self._constant(node, node.null_test.arg, scopes)
        elif kind == "column_ref":
            self._constant(node, node, scopes)
        elif kind == "sub_link" and node.sub_link.HasField("testexpr"):
            self._key(node.sub_link.testexpr, scopes, "joined")

    def _comparison(self, node: Any, scopes: tuple[Scope, ...]) -> None:
        expr, pb = node.a_expr, postgast.pg_query_pb2
        operator = expr.name[-1].string.sval
        if expr.kind in (pb.AEXPR_IN, pb.AEXPR_OP_ANY) and operator == "=":
            self._key(expr.lexpr, scopes, "equal")
            self._constant(node, expr.lexpr, scopes)
        elif expr.kind == pb.AEXPR_BETWEEN:
            self._key(expr.lexpr, scopes, "bounded")
        elif expr.kind in (pb.AEXPR_LIKE, pb.AEXPR_ILIKE) and operator in ("~~", "~~*"):
            begins = expr.rexpr.a_const.sval.sval[:1] not in ("", "%", "_")
            self._key(expr.lexpr, scopes, "patterns" if begins and operator == "~~" else "searched")
        elif expr.kind == pb.AEXPR_OP and operator in GIN_OPERATORS:
            self._key(expr.lexpr, scopes, "contained")
        elif expr.kind == pb.AEXPR_OP and operator in FLIPPED:
            sides = [(expr.lexpr, expr.rexpr), (expr.rexpr, expr.lexpr)]
            for one, other in sides:
                mine = self._key_of(one, scopes)
                if mine is None:
                    continue
                others = [access for access, _ in self._columns(other, scopes)]
                if any(access is mine[0] for access in others):
                    continue
                joins = bool(others) or any(n.WhichOneof("node") in ("column_ref", "sub_link") for n in walk(other))
                _add(
                    getattr(mine[0], "joined" if joins and operator == "=" else "equal" if operator == "=" else "bounded"),
                    mine[1],
                )
                if not joins and operator == "=":
                    self._constant(node, one, scopes)

    def _constant(self, node: Any, key: Any, scopes: tuple[Scope, ...]) -> None:
        """A condition that may bound a partial index: every value in it is known."""
        found = self._key_of(key, scopes)
        if found is not None and not any(n.WhichOneof("node") in ("param_ref", "sub_link", "func_call") for n in walk(node)):
            condition = (unqualified(node), found[1])
            if condition not in found[0].conditions:
                found[0].conditions.append(condition)

    def _order(self, statement: Any, scopes: tuple[Scope, ...]) -> None:
        pb = postgast.pg_query_pb2
        keys: list[tuple[Access, str]] = []
        for item in statement.sort_clause:
            node = item.sort_by.node
            if node.WhichOneof("node") == "a_const" and 0 < (at := node.a_const.ival.ival) <= len(statement.target_list):
                node = statement.target_list[at - 1].res_target.val
            elif node.WhichOneof("node") == "column_ref" and self._resolve(node.column_ref, scopes) is None:
                named = {target.res_target.name: target.res_target.val for target in statement.target_list}
                node = named.get(node.column_ref.fields[-1].string.sval, node)
            found = self._key_of(node, scopes)
            if found is None or (keys and keys[0][0] is not found[0]):
                break
            down = item.sort_by.sortby_dir == pb.SORTBY_DESC
            first = item.sort_by.sortby_nulls == pb.SORTBY_NULLS_FIRST
            last = item.sort_by.sortby_nulls == pb.SORTBY_NULLS_LAST
            ending = " DESC" if down else ""
            ending += " NULLS LAST" if down and last else " NULLS FIRST" if first and not down else ""
            keys.append((found[0], found[1] + ending))
        for access, key in keys:
            _add(access.order, key)


def _read(access: Access, column: str) -> None:
    if access.read is not None:
        access.read.add(access.table.columns[column].quoted)


def _add(keys: list[str], key: str) -> None:
    if key not in keys:
        keys.append(key)
