"""How long a rollout waits, for what: the bound on what everybody else may feel of it.

A request for a strong lock makes all that come after it queue behind it, so that its wait is everybody's: it is short, and is tried
again after a pause in which the queue drains. A weaker lock that lets reads and writes pass may wait longer. A concurrent build waits
for old transactions and blocks nobody, so a lock timeout would only cancel it and leave an invalid index: it has a time of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["LockClass", "Waits"]

# The strongest lock that a statement takes on a table in use, by what it blocks; `rows`: only rows that it writes.
LockClass: TypeAlias = Literal["access_exclusive", "share_row_exclusive", "share_update_exclusive", "rows"]


@dataclass(frozen=True, kw_only=True)
class Waits:
    """lock_timeout_ms: for a lock that blocks reads or writes, at each attempt. hold_ms_max: how long it may then be held; what takes
    longer is cancelled. passing_timeout_ms: for a lock that lets both pass. give_up_s: attempts at one lock end after this long.
    pause_s_max: between two attempts, random, doubled each time up to this. build_timeout_s: one attempt at a concurrent build.
    build_attempts: of them. batch_rows: of a backfill's transaction at its start; adapted to batch_ms. batch_pause: part of the time of a
    batch that is rested after it.
    """

    lock_timeout_ms: int = 200
    hold_ms_max: int = 1_000
    passing_timeout_ms: int = 5_000
    give_up_s: float = 600.0
    pause_s_max: float = 10.0
    build_timeout_s: float = 6 * 3600.0
    build_attempts: int = 3
    batch_rows: int = 1_000
    batch_ms: int = 100
    batch_pause: float = 0.25

    def session(self, lock: LockClass) -> dict[str, str]:
        """PostgreSQL's settings for a transaction that takes such a lock."""
        if lock == "share_update_exclusive":
            return {"lock_timeout": f"{self.passing_timeout_ms}ms", "statement_timeout": "0"}
        if lock == "rows":
            return {"lock_timeout": f"{self.lock_timeout_ms}ms", "statement_timeout": "0"}
        # The statement's time counts its wait as well.
        return {
            "lock_timeout": f"{self.lock_timeout_ms}ms",
            "statement_timeout": f"{self.lock_timeout_ms + self.hold_ms_max}ms",
        }
