"""What a measured statement means for those who use the database, and which operation does the same without harm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from milepost.doctor.rollout.lint.measure import STRENGTH, Measured

__all__ = ["Problem", "judged"]

BLOCKS_WRITES: Final = frozenset(STRENGTH[STRENGTH.index("ShareLock") :])
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
    """rule: its word. severity: `error` stops those who use the database, `warning` may, `notice` is a habit. operations: of `milepost
    rollout`, that do it without, or, if `precedes`, after which the statement does; empty if none do.
    """

    line: int
    rule: str
    severity: Literal["error", "warning", "notice"]
    message: str
    operations: tuple[Mapping[str, Any], ...] = ()
    precedes: bool = False


def judged(found: Measured) -> list[Problem]:
    """The problems of one statement, the worst first."""
    if found.error is not None:
        return [Problem(line=found.line, rule="fails", severity="error", message=found.error)]
    # Nobody writes to a materialized view but its refresh; a sequence that is altered gives no number.
    blocking = "rpS" if found.kind == "alter_seq_stmt" else "rp"
    strong = {
        name: mode
        for name, mode in found.locks.items()
        if (mode in BLOCKS_WRITES and found.kinds[name] in blocking) or (mode == STRENGTH[-1] and found.kinds[name] == "m")
    }
    indexes = [name for name, mode in found.locks.items() if mode == "AccessExclusiveLock" and found.kinds[name] in "iI"]
    problems = []
    without: dict[str, Any] = {"operations": found.operations, "precedes": found.precedes}
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
        problems.append(Problem(line=found.line, rule=rule, severity="error", message=message, **without))
    rebuilt = [name for name in indexes if name in found.rewrites]
    if rebuilt and not problems:
        message = f"blocks reads by, and writes to, {', '.join(rebuilt)} while it is built anew"
        problems.append(Problem(line=found.line, rule="rewrites_under_lock", severity="error", message=message, **without))
    brief = {name: mode for name, mode in strong.items() if name not in slow or found.kind == "truncate_stmt"}
    if brief and found.lock_timeout == "0":
        name, mode = next(iter(brief.items()))
        blocked = "reads and writes" if mode == "AccessExclusiveLock" else "writes"
        message = f"waits for {_words(mode)} on {', '.join(brief)} without a lock_timeout, and {blocked} queue behind it"
        problems.append(Problem(line=found.line, rule="no_lock_timeout", severity="warning", message=message, **without))
    if found.lost:
        message = f"{', '.join(found.lost)} is gone under that name: clients that use it fail"
        problems.append(Problem(line=found.line, rule="breaks_clients", severity="warning", message=message, **without))
    if found.kind == "truncate_stmt":
        problems.append(Problem(line=found.line, rule="loses_rows", severity="warning", message="all rows go at once"))
    problems += [
        Problem(line=found.line, rule="changes_all_rows", severity="warning", message=_at_once(name, verb))
        for name, verb in found.whole.items()
    ]
    for column, type_ in found.added.items():
        for pattern, why in TYPES:
            if pattern.fullmatch(type_):
                problems.append(Problem(line=found.line, rule="type", severity="notice", message=f"{column} is {type_}: {why}"))
    return problems


def _at_once(name: str, verb: str) -> str:
    """No operation runs anybody's own statement, so none is shown in its place."""
    what = "deletes" if verb == "delete" else "writes"
    said = f"{what} every row of {name} in one transaction: each is locked until it ends, and what it leaves bloats the table"
    if verb == "delete":
        return f"{said}; delete in batches by the key, each committed, or TRUNCATE"
    return (
        f"{said}; update in batches by the key, each committed (`add_column` fills a new column so, `change_type` converts one)"
    )


def _words(mode: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
