"""Sessions that wait for a lock, and who is at the head of the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from milepost.doctor.checks.check import Check, Limit, Row, Seen, said_s
from milepost.doctor.checks.cures import terminate
from milepost.doctor.finding import Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "lock_queue.sql")


def _heads(pid: int, waiting: Mapping[int, Row], passed: set[int]) -> Iterator[int]:
    """Who is waited for, and waits for nobody."""
    for blocker in waiting[pid]["blockers"]:
        if blocker in passed:
            continue
        passed.add(blocker)
        if blocker in waiting:
            yield from _heads(blocker, waiting, passed)
        else:
            yield blocker


def _tree(pid: int, waiting: Mapping[int, Row], every: Mapping[int, Row], depth: int, passed: set[int]) -> Iterator[str]:
    """A line for each session, under the one it waits for."""
    row = every.get(pid)
    wait = f", waits {said_s(row['waits_s'])} for {row['mode']}" if row and row["blockers"] else ""
    yield f"{'  ' * depth}{pid} {row['who'] if row else 'gone'}{wait}: {' '.join(row['query'].split())[:120] if row else ''}"
    passed.add(pid)
    for other, waiter in waiting.items():
        if pid in waiter["blockers"] and other not in passed:
            yield from _tree(other, waiting, every, depth + 1, passed)


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    waiting = {row["pid"]: row for row in rows if row["blockers"]}
    behind: dict[int, set[int]] = {}
    for pid in waiting:
        for head in _heads(pid, waiting, set()):
            behind.setdefault(head, set()).add(pid)
    every = {row["pid"]: row for row in rows}
    for head, pids in behind.items():
        longest = max(waiting[pid]["waits_s"] for pid in pids)
        if longest < seen.limits["waits_s_min"]:
            continue
        relations = sorted({waiting[pid]["relation"] for pid in pids if waiting[pid]["relation"]})
        who = every.get(head)
        name = (
            "a prepared transaction (pg_prepared_xacts)"
            if head == 0
            else "a session that is gone"
            if who is None
            else f"{who['who']} (process {head}, {who['state']})"
        )
        yield seen.finding(
            relations[0] if relations else f"transaction of {who['who'] if who else head}",
            "critical" if longest >= 12 * seen.limits["waits_s_min"] or len(pids) >= 20 else "warning",
            f"{len(pids)} sessions have waited for up to {said_s(longest)} behind {name}.",
            terminate(
                "End the one at the head, if its work can be lost; DDL wants a lock_timeout, transactions want to be short. To end it:",
                [head] if head else [],
            ),
            {
                "waiting": len(pids),
                "longest_s": round(longest, 1),
                "head": head,
                "head_statement": who["query"] if who else None,
                "tree": "\n".join(_tree(head, waiting, every, 0, set())),
            },
        )


CHECK = Check(
    name="lock_queue",
    area="sessions",
    title="A queue for a lock",
    why="Whoever waits for a strong lock makes all behind it wait, too: one ALTER TABLE behind one long SELECT stops an application.",
    cured="End the head of the queue; short transactions and a lock_timeout.",
    limits={"waits_s_min": Limit(value=5, unit="s", why="Shorter waits are every database's.")},
    applies=lambda target: "" if target.monitor else "the user is not a member of pg_monitor",
    query=queries.rows,
    judge=judge,
)
