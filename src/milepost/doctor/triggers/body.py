"""What a trigger's function does, read from its text.

Of PL/pgSQL (and, as far as their SQL goes, of its statements): which tables it writes and reads, which columns of NEW and OLD it
looks at and sets, whether all that it does stands under one comparison of the two. What is not in the text is not known: dynamic
SQL, functions called in turn, other languages; then `known` is False and nobody should conclude that it does nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from milepost.doctor.statements import parse_one, routine
from milepost.doctor.triggers.inventory import Trigger
from milepost.errors import InvalidInput

__all__ = ["Body", "read_body"]

FIELD = re.compile(r"\b(?:new|old)\.\"?(\w+)\"?", re.IGNORECASE)
WHOLE = re.compile(r"\b(?:new|old)\b(?!\s*\.\s*\w)|\b(?:new|old)\.\*", re.IGNORECASE)
COMPARED = re.compile(
    r"\bold\.(\w+)\s+is\s+distinct\s+from\s+new\.\1\b|\bnew\.(\w+)\s+is\s+distinct\s+from\s+old\.\2\b|\b(?:new\.(\w+)\s*(?:<>|!=)\s*old\.\3|old\.(\w+)\s*(?:<>|!=)\s*new\.\4)\b",
    re.IGNORECASE,
)
COUNTED = re.compile(
    r"\bset\s+\"?(\w+)\"?\s*=\s*(?:\w+\.)?\"?\1\"?\s*[-+]|\bdo\s+update\s+set\s+\"?(\w+)\"?\s*=\s*[^,]*\b\2\b\s*[-+]",
    re.IGNORECASE,
)
# Calls that leave the database, or wait.
OUTSIDE = frozenset(
    {"dblink", "dblink_exec", "dblink_connect", "http", "http_get", "http_post", "net", "pg_sleep", "lo_export"}
)
CLOCKS = frozenset({"now", "clock_timestamp", "current_timestamp", "statement_timestamp", "transaction_timestamp"})


@dataclass(frozen=True, kw_only=True)
class Body:
    """writes: (kind, table) as written. reads: tables. looked_at: columns of NEW and OLD; whole: it uses them as a whole. set:
    columns of NEW that it sets. guard: columns whose change is the condition of all that it does; empty without one. counts: it adds
    to a value in another row. outside: calls that leave the database or wait. passes: the row goes on as it
    is, which a BEFORE trigger decides by what it returns. calls: other functions.
    """

    known: bool
    writes: tuple[tuple[str, str], ...] = ()
    reads: tuple[str, ...] = ()
    looked_at: tuple[str, ...] = ()
    whole: bool = False
    set: tuple[str, ...] = ()
    sets_clock_only: bool = False
    guard: tuple[str, ...] = ()
    counts: bool = False
    notifies: bool = False
    refreshes: bool = False
    raises: bool = False
    outside: tuple[str, ...] = ()
    dynamic: bool = False
    loops: bool = False
    passes: bool = True
    calls: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing is done: rows pass through as they are. A read may take locks, so it is not nothing."""
        does = (
            self.writes
            or self.reads
            or self.set
            or self.notifies
            or self.refreshes
            or self.raises
            or self.outside
            or self.calls
        )
        return self.known and self.passes and not does


def read_body(trigger: Trigger) -> Body:
    """`known` is False where the function's language or text cannot be read."""
    if trigger.language != "plpgsql" or trigger.function_definition is None:
        return Body(known=False)
    text = trigger.function_definition
    try:
        found = routine(text)
        statements = [parse_one(_parsable(one)) for one in found.statements if one.strip()]
    except InvalidInput:
        return Body(known=False, dynamic="execute" in text.lower())
    code = _without_comments(_inner(text))
    functions = {name for one in statements for name in one.functions}
    written = tuple(dict.fromkeys(pair for one in statements for pair in one.written))
    read = tuple(
        dict.fromkeys(name for one in statements for name in one.tables if name not in {table for _, table in one.written})
    )
    assigned = tuple(one.partition(".")[2].strip('"') for one in found.assigned if one.startswith("new."))
    values = re.findall(r"\bnew\.\w+\s*:?=\s*([^;]+);", code, re.IGNORECASE)
    clock = bool(assigned) and all(
        re.fullmatch(r"(?:\w+\.)?(\w+)(?:\(\))?", one.strip().lower()) is not None and re.sub(r"\W", "", one.lower()) in CLOCKS
        for one in values
    )
    looked = [name.lower() for name in FIELD.findall(re.sub(r"\bnew\.\w+\s*:=", "", code, flags=re.IGNORECASE))]
    return Body(
        known=not found.dynamic,
        writes=written,
        reads=read,
        looked_at=tuple(dict.fromkeys(looked)),
        whole=WHOLE.search(re.sub(r"\breturn\s+(?:new|old|null)\s*;|coalesce\(new,\s*old\)", "", code, flags=re.IGNORECASE))
        is not None,
        set=assigned,
        sets_clock_only=clock,
        guard=_guard(code, found.conditions),
        counts=any(COUNTED.search(one) for one in found.statements),
        notifies="pg_notify" in functions or re.search(r"\bnotify\s+\w", code, re.IGNORECASE) is not None,
        refreshes=any(one.kind.startswith("refresh_mat_view") for one in statements)
        or "refresh materialized view" in code.lower(),
        raises=re.search(r"\braise\s+(?:exception|sqlstate)\b|\braise\s+'", code, re.IGNORECASE) is not None,
        outside=tuple(sorted(functions & OUTSIDE)),
        dynamic=bool(found.dynamic),
        loops=found.loops,
        passes=_passes(trigger, code),
        calls=tuple(sorted(functions - OUTSIDE - CLOCKS - {"pg_notify"})),
    )


def _passes(trigger: Trigger, code: str) -> bool:
    if not trigger.each_row or trigger.timing != "before":
        return trigger.timing == "after" or not trigger.each_row  # what it returns is ignored
    returned = {one.lower() for one in re.findall(r"\breturn\s+([^;]+?)\s*;", code, re.IGNORECASE)}
    # NEW is null in a delete and OLD in an insert, which cancels them; OLD in an update takes it back.
    right = {"old"} if trigger.events == ["delete"] else {"new"} if "delete" not in trigger.events else {"coalesce(new, old)"}
    return bool(returned) and returned <= right


def _guard(code: str, conditions: tuple[str, ...]) -> tuple[str, ...]:
    """The columns compared, if the body is one IF on them alone, and RETURN."""
    if len(conditions) != 1:
        return ()
    body = re.sub(r"^.*?\bbegin\b", "", code, count=1, flags=re.IGNORECASE | re.DOTALL).strip()
    whole = re.fullmatch(r"if\b.*?\bthen\b.*\bend\s+if\s*;\s*return\s+\w+\s*;\s*end\s*;?", body, re.IGNORECASE | re.DOTALL)
    if whole is None or re.search(r"\belse\b", body, re.IGNORECASE):
        return ()
    columns = [next(filter(None, groups)).lower() for groups in COMPARED.findall(conditions[0])]
    left = re.sub(r"\s|\(|\)", "", COMPARED.sub("", conditions[0])).lower()
    return tuple(dict.fromkeys(columns)) if columns and re.fullmatch(r"(?:or|tg_op='insert')*", left) else ()


def _inner(definition: str) -> str:
    """The text between the dollar quotes."""
    found = re.search(r"AS (\$\w*\$)(.*)\1", definition, re.DOTALL)
    return found[2] if found else definition


def _without_comments(code: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", "", code, flags=re.DOTALL)


def _parsable(statement: str) -> str:
    return statement.strip().removesuffix(";")
