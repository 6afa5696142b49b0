"""Bounds of partitions by range, as PostgreSQL prints them, and as files of rollouts write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

__all__ = ["Range", "chained", "range_of"]

Range: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]

PRINTED: Final = re.compile(r"FOR VALUES FROM \((.*)\) TO \((.*)\)", re.DOTALL)
VALUE: Final = re.compile(r"'((?:[^']|'')*)'|([^\s,']+)")


def range_of(printed: str) -> Range | None:
    """`FOR VALUES FROM ('a') TO (MAXVALUE)` → lower, upper; None if it is no range."""
    found = PRINTED.fullmatch(printed)
    if found is None:
        return None
    lower, upper = (
        tuple(text.replace("''", "'") if text or not bare else bare for text, bare in VALUE.findall(part))
        for part in found.groups()
    )
    return lower, upper


def chained(ranges: Iterable[Range]) -> list[tuple[str, ...]] | None:
    """Their bounds in order; None if there is a gap between two of them."""
    following = dict(ranges)
    starts = following.keys() - set(following.values())
    if len(starts) != 1:
        return None
    bounds = [starts.pop()]
    while bounds[-1] in following:
        bounds.append(following[bounds[-1]])
    return bounds if len(bounds) == len(following) + 1 else None
