"""Going through a statement's tree (libpg_query's, as postgast has it)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import postgast

__all__ = ["everything", "present", "unqualified", "walk"]


def present(message: Any, name: str) -> Iterable[Any]:
    return (getattr(message, name),) if message.HasField(name) else ()


def walk(node: Any) -> Iterator[Any]:
    """The node and those below, but none of a query inside."""
    if node.DESCRIPTOR.name == "Node":
        if node.WhichOneof("node") is None:
            return
        yield node
        kind = node.WhichOneof("node")
        inner = getattr(node, kind)
        if kind == "sub_link":
            if inner.HasField("testexpr"):
                yield from walk(inner.testexpr)
            return
        node = inner
    for description, value in node.ListFields():
        if description.type == description.TYPE_MESSAGE:
            for one in value if description.is_repeated else (value,):
                yield from walk(one)


def everything(node: Any) -> Iterator[Any]:
    """Every node below, queries inside included."""
    if node.DESCRIPTOR.name == "Node" and node.WhichOneof("node") is not None:
        yield node
    for description, value in node.ListFields():
        if description.type == description.TYPE_MESSAGE:
            for one in value if description.is_repeated else (value,):
                yield from everything(one)


def unqualified(node: Any) -> str:
    """Its SQL, with columns by their own names, as a definition has them."""
    holder = postgast.pg_query_pb2.ParseResult()
    value = holder.stmts.add().stmt.select_stmt.target_list.add().res_target.val
    value.CopyFrom(node)
    for found in list(walk(value)):
        if found.WhichOneof("node") == "column_ref":
            del found.column_ref.fields[:-1]
    return str(postgast.deparse(holder)).removeprefix("SELECT ").strip()
