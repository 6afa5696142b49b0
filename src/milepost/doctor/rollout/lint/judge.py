"""What a measured statement means for those who use the database, and which operation does the same without harm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from milepost.doctor.rollout.lint.measure import STRENGTH, Measured

__all__ = ["Problem", "judged"]

BLOCKS_WRITES: Final = frozenset(STRENGTH[STRENGTH.index("ShareLock") :])
# Statement → operation of `milepost rollout`.
OPERATIONS: Final = {
    "index_stmt": "create_index",
    "reindex_stmt": "reindex",
    "refresh_mat_view_stmt": "refresh_view",
}
TYPES: Final = (
    (
        re.compile(r"timestamp(\(\d\))? without time zone"),
        "timestamptz keeps the moment; this keeps a wall clock of nobody's zone",
    ),
    (re.compile(r"character\(\d+\)"), "char(n) pads with blanks; text with a check does not"),
    (re.compile(r"money|json"), "numeric or jsonb is what can be computed with and indexed"),
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """rule: its word. severity: `error` stops those who use the database, `warning` may, `notice` is a habit. operation: of `milepost
    rollout`, that does it without; None if none does.
    """

    line: int
    rule: str
    severity: Literal["error", "warning", "notice"]
    message: str
    operation: str | None = None


def judged(found: Measured) -> list[Problem]:
    """The problems of one statement, the worst first."""
    if found.error is not None:
        return [Problem(line=found.line, rule="fails", severity="error", message=found.error)]
    # Nobody writes to a materialized view but its refresh.
    strong = {
        name: mode
        for name, mode in found.locks.items()
        if (mode in BLOCKS_WRITES and found.kinds[name] in "rp") or (mode == STRENGTH[-1] and found.kinds[name] == "m")
    }
    indexes = [name for name, mode in found.locks.items() if mode == "AccessExclusiveLock" and found.kinds[name] in "iI"]
    problems = []
    slow = set(found.rewrites) | set(found.scans)
    for name, mode in strong.items():
        blocked = "reads and writes" if mode == "AccessExclusiveLock" else "writes"
        if name in found.rewrites and found.kind != "truncate_stmt":
            said, rule = f"blocks {blocked} of {name} while it writes the whole of it anew", "rewrites_under_lock"
        elif name in found.scans:
            said, rule = f"blocks {blocked} of {name} while it reads the whole of it", "scans_under_lock"
        else:
            continue
        message = f"{said} ({_words(mode)})"
        problems.append(Problem(line=found.line, rule=rule, severity="error", message=message, operation=_operation(found)))
    rebuilt = [name for name in indexes if name in found.rewrites]
    if rebuilt and not problems:
        message = f"blocks reads by, and writes to, {', '.join(rebuilt)} while it is built anew"
        problems.append(
            Problem(line=found.line, rule="rewrites_under_lock", severity="error", message=message, operation="reindex")
        )
    brief = {name: mode for name, mode in strong.items() if name not in slow or found.kind == "truncate_stmt"}
    if brief and found.lock_timeout == "0":
        name, mode = next(iter(brief.items()))
        blocked = "reads and writes" if mode == "AccessExclusiveLock" else "writes"
        message = f"waits for {_words(mode)} on {', '.join(brief)} without a lock_timeout, and {blocked} queue behind it"
        problems.append(
            Problem(line=found.line, rule="no_lock_timeout", severity="warning", message=message, operation=_operation(found))
        )
    if found.lost:
        message = f"{', '.join(found.lost)} is gone under that name: clients that use it fail"
        problems.append(Problem(line=found.line, rule="breaks_clients", severity="warning", message=message))
    if found.kind == "truncate_stmt":
        problems.append(Problem(line=found.line, rule="loses_rows", severity="warning", message="all rows go at once"))
    for column, type_ in found.added.items():
        for pattern, why in TYPES:
            if pattern.fullmatch(type_):
                problems.append(Problem(line=found.line, rule="type", severity="notice", message=f"{column} is {type_}: {why}"))
    return problems


def _words(mode: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


def _operation(found: Measured) -> str | None:
    """The operation that has the same outcome."""
    text = found.text.lower()
    if found.kind in OPERATIONS:
        return OPERATIONS[found.kind]
    if found.retyped:
        return "change_type"
    if found.tightened and not found.added:
        return "set_not_null"
    if "foreign key" in text or " references " in text:
        return "add_foreign_key"
    if " check " in text or " check(" in text:
        return "add_check"
    if found.added:
        return "add_column"
    if text.startswith("drop index"):
        return "drop_index"
    if text.startswith("drop trigger"):
        return "drop_trigger"
    if "disable trigger" in text:
        return "disable_trigger"
    return None
