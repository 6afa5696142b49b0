"""What faults did, as a table: acknowledged, loaded, lost, duplicated, and how long a call took. `fix_faults` has the fixture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Check", "Row", "row_of", "say_rows"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a fault did."""

    fault: str
    accepted: int
    loaded: int
    lost: int
    duplicated: int
    longest_ms: float | None  # None: the calls were another process's


Check = Callable[[str, set[tuple[str, str]], Counter[tuple[str, str]], float | None], Row]


def row_of(fault: str, expected: set[tuple[str, str]], loaded: Counter[tuple[str, str]], longest_s: float | None) -> Row:
    return Row(
        fault=fault,
        accepted=len(expected),
        loaded=len(expected & loaded.keys()),
        lost=len(expected - loaded.keys()),
        duplicated=sum(loaded[one] - 1 for one in expected if loaded[one] > 1),
        longest_ms=None if longest_s is None else longest_s * 1000,
    )


def say_rows(rows: list[Row]) -> str:
    lines = [f"{'fault':44} {'accepted':>9} {'loaded':>9} {'lost':>5} {'duplicated':>10} {'longest call':>13}"]
    lines += [
        f"{row.fault:44} {row.accepted:9,} {row.loaded:9,} {row.lost:5} {row.duplicated:10} "
        + ("            –" if row.longest_ms is None else f"{row.longest_ms:10.1f} ms")
        for row in rows
    ]
    return "\n".join(lines)
