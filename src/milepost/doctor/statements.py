"""SQL and PL/pgSQL, read as PostgreSQL reads them: the only module that knows the parser (postgast, which is libpg_query 18).

`parse` gives each statement with what is usually asked of it: kind, tables, placeholders; its `tree` is libpg_query's (protobuf
messages named as in PostgreSQL's `parsenodes.h`), and `walk` goes through it. `routine` reads a PL/pgSQL body. Nothing is looked
up in a database: names are as they were written, so without a schema where the search path decides.

How it fails: `InvalidInput` with the parser's words and the place. A newer server may accept what this parser does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias, cast

import postgast
from postgast import pg_query_pb2
from postgast.errors import check_error
from postgast.native import lib

from milepost.errors import InvalidInput

__all__ = [
    "Node",
    "Routine",
    "Statement",
    "Token",
    "expression",
    "expression_text",
    "fingerprint",
    "nodes",
    "normalize",
    "parse",
    "parse_one",
    "routine",
    "split",
    "tokens",
    "walk",
]

Node: TypeAlias = Any  # a protobuf message of libpg_query

WRITES: Final = {"insert_stmt": "insert", "update_stmt": "update", "delete_stmt": "delete", "merge_stmt": "merge"}
COMMENTS: Final = frozenset({"SQL_COMMENT", "C_COMMENT"})
# libpg_query writes NEW and OLD's hidden fields (TG_OP and the like) as `{}}`, which is no JSON.
BROKEN_DATUM = re.compile(r"(?<=[\[,])\{\}\}(?=[,\]])")


@dataclass(frozen=True)
class Statement:
    """One statement. text: as written, without its semicolon. tree: its node, such as `SelectStmt`."""

    text: str
    tree: Node

    @property
    def kind(self) -> str:
        """`select`, `insert`, `update`, `delete`, `merge`, or the node's name, such as `create_trig_stmt`."""
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self.tree).__name__).lower()
        return WRITES.get(name, name.removesuffix("_stmt") if name == "select_stmt" else name)

    @property
    def writes(self) -> bool:
        """Whether rows are changed, by it or by a part of it (WITH … INSERT), or rows are locked by name (FOR UPDATE)."""
        return any(type(node).__name__ in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt") for node in walk(self.tree))

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Every relation it names, each once, in their order, as `schema.name` or `name`; no CTE of its own."""
        own = {node.ctename for node in nodes(self.tree, "CommonTableExpr")}
        found = (_relation(node) for node in nodes(self.tree, "RangeVar") if node.schemaname or node.relname not in own)
        return tuple(dict.fromkeys(found))

    @cached_property
    def written(self) -> tuple[tuple[str, str], ...]:
        """What rows are changed of: (`insert`, `update`, …; the table)."""
        kinds = {"InsertStmt": "insert", "UpdateStmt": "update", "DeleteStmt": "delete", "MergeStmt": "merge"}
        found = (
            (kinds[type(node).__name__], _relation(node.relation)) for node in walk(self.tree) if type(node).__name__ in kinds
        )
        return tuple(dict.fromkeys(found))

    @cached_property
    def placeholders(self) -> int:
        """The highest $n; 0 without any."""
        return max((node.number for node in nodes(self.tree, "ParamRef")), default=0)

    @cached_property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions it calls, without their schema, each once."""
        return tuple(dict.fromkeys(node.funcname[-1].string.sval for node in nodes(self.tree, "FuncCall")))


@dataclass(frozen=True, kw_only=True)
class Token:
    """name: as the scanner calls it, such as `PARAM`, `DAY_P` or `ASCII_40`. start, end: in the text's bytes, as places in a tree are."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Routine:
    """A PL/pgSQL body. statements: the SQL it runs, in order, with its variables as names. conditions: of its IFs and CASEs.
    assigned: left sides of its assignments, such as `new.updated_at`. dynamic: expressions given to EXECUTE. loops: whether it
    runs statements once for each row or round. returns: what it returns, as expressions.
    """

    statements: tuple[str, ...]
    conditions: tuple[str, ...]
    assigned: tuple[str, ...]
    dynamic: tuple[str, ...]
    loops: bool
    returns: tuple[str, ...]


def parse(text: str) -> tuple[Statement, ...]:
    """Every statement in `text`. Raises `InvalidInput`."""
    try:
        result = postgast.parse(text)
    except postgast.PgQueryError as error:
        raise _wrong(text, error) from error
    raw = text.encode()
    found = []
    for one in result.stmts:
        end = one.stmt_location + one.stmt_len if one.stmt_len else len(raw)
        tree = cast("Node", postgast.unwrap_node(one.stmt))
        found.append(Statement(text=raw[one.stmt_location : end].decode().strip(), tree=tree))
    return tuple(found)


def parse_one(text: str) -> Statement:
    """The one statement in `text`. Raises `InvalidInput` if there are none or several."""
    found = parse(text)
    if len(found) != 1:
        raise InvalidInput(f"One statement is wanted, and here are {len(found)}.")
    return found[0]


def split(text: str) -> tuple[str, ...]:
    """The statements' texts, comments before them included. Raises `InvalidInput`."""
    try:
        return tuple(postgast.split(text))
    except postgast.PgQueryError as error:
        raise _wrong(text, error) from error


def tokens(text: str) -> tuple[Token, ...]:
    """Its words and signs, without comments. Raises `InvalidInput`."""
    try:
        found = postgast.scan(text).tokens
    except postgast.PgQueryError as error:
        raise _wrong(text, error) from error
    named = (Token(name=pg_query_pb2.Token.Name(one.token), start=one.start, end=one.end) for one in found)
    return tuple(one for one in named if one.name not in COMMENTS)


def normalize(text: str) -> str:
    """With $1, $2, … for its constants, as pg_stat_statements shows it."""
    try:
        return str(postgast.normalize(text))
    except postgast.PgQueryError as error:
        raise _wrong(text, error) from error


def fingerprint(text: str) -> str:
    """The same for statements that differ in constants, spaces and case alone."""
    try:
        return str(postgast.fingerprint(text).hex)
    except postgast.PgQueryError as error:
        raise _wrong(text, error) from error


def walk(tree: Node) -> Iterator[Node]:
    """The node and all below it, each before those below."""
    for _, node in postgast.walk(tree):
        yield node


def nodes(tree: Node, kind: str) -> Iterator[Node]:
    """Those of a kind, such as `ColumnRef`."""
    assert kind in pg_query_pb2.DESCRIPTOR.message_types_by_name, f"libpg_query has no {kind}"
    return (node for node in walk(tree) if type(node).__name__ == kind)


def expression(text: str) -> Node:
    """An expression's tree, such as of a plan's filter. Raises `InvalidInput` (a plan's `SubPlan 1` is no SQL)."""
    return parse_one(f"VALUES ({text})").tree.values_lists[0].list.items[0]


def expression_text(node: Node) -> str:
    """As SQL, with columns by their name alone, as an index's definition wants them."""
    try:
        whole = postgast.parse("VALUES (1)")
        item = whole.stmts[0].stmt.select_stmt.values_lists[0].list.items[0]
        if type(node).__name__ == "Node":
            item.CopyFrom(node)
        else:
            field = re.sub(r"(?<!^)(?<!_)(?=[A-Z])", "_", type(node).__name__).lower().replace("__", "_")
            getattr(item, field).CopyFrom(node)
        for column in nodes(whole, "ColumnRef"):
            del column.fields[:-1]
        text = str(postgast.deparse(whole))
    except postgast.PgQueryError as error:
        raise _wrong("", error) from error
    return text.removeprefix("VALUES (").removesuffix(")")


def routine(definition: str) -> Routine:
    """Of a whole `CREATE FUNCTION … LANGUAGE plpgsql`, as `pg_get_functiondef` gives it. Raises `InvalidInput`."""
    result = lib.pg_query_parse_plpgsql(definition.encode())
    try:
        check_error(result)
        text = result.plpgsql_funcs.decode()
    except postgast.PgQueryError as error:
        raise _wrong(definition, error) from error
    finally:
        lib.pg_query_free_plpgsql_parse_result(result)
    functions = json.loads(BROKEN_DATUM.sub("{}", text))
    if not functions:
        raise InvalidInput("There is no PL/pgSQL function in it.")
    found: dict[str, list[str]] = {name: [] for name in ("statements", "conditions", "assigned", "dynamic", "returns")}
    loops = False
    for kind, node in _parts(functions[0]["PLpgSQL_function"]["action"]):
        match kind.removeprefix("PLpgSQL_stmt_"):
            case "execsql":
                found["statements"].append(_query(node["sqlstmt"]))
            case "perform":
                found["statements"].append(_query(node["expr"]))
            case "fors" | "forc" | "open" | "return_query":
                if "query" in node:
                    found["statements"].append(_query(node["query"]))
                loops = loops or kind.endswith(("fors", "forc"))
            case "if" | "if_elsif" | "case_when" | "while":
                found["conditions"].append(_query(node.get("cond") or node["expr"]))
                loops = loops or kind.endswith("while")
            case "loop" | "fori" | "foreach_a" | "dynfors":
                loops = True
            case "assign":
                left, _, _ = _query(node["expr"]).partition(":=" if ":=" in _query(node["expr"]) else "=")
                found["assigned"].append(left.strip().lower())
            case "dynexecute":
                found["dynamic"].append(_query(node["query"]))
            case "return":
                found["returns"].append(_query(node["expr"]) if "expr" in node else "")
            case _ if kind == "PLpgSQL_if_elsif":
                found["conditions"].append(_query(node["cond"]))
    return Routine(loops=loops, **{name: tuple(values) for name, values in found.items()})


def _parts(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every node of a parsed body by its kind, in the order of the text."""
    if isinstance(value, list):
        for one in value:
            yield from _parts(one)
    elif isinstance(value, dict):
        for name, below in value.items():
            if name.startswith("PLpgSQL_") and isinstance(below, dict):
                yield name, below
            yield from _parts(below)


def _query(expression: Mapping[str, Any]) -> str:
    return str(expression["PLpgSQL_expr"]["query"])


def _relation(node: Node) -> str:
    return f"{node.schemaname}.{node.relname}" if node.schemaname else str(node.relname)


def _wrong(text: str, error: postgast.PgQueryError) -> InvalidInput:
    place = error.cursorpos or 0
    line = text.count("\n", 0, max(0, place - 1)) + 1
    return InvalidInput(f"This SQL cannot be read: {error.message} (line {line}).", position=place)
