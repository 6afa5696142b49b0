"""How much tests try: by default what fits into the time of every change; `MILEPOST_TEST_LONG=1` all that is promised."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest

__all__ = ["LONG", "examples", "kills", "long_only", "some"]

Case = TypeVar("Case")
LONG = os.environ.get("MILEPOST_TEST_LONG", "") not in ("", "0")
KILLS = float(os.environ.get("MILEPOST_TEST_KILLS", "100" if LONG else "12")) / 100

# Of what others show as well, on a smaller scale.
long_only = pytest.mark.skipif(not LONG, reason="MILEPOST_TEST_LONG runs it")


def kills(most: int) -> int:
    """How often something is killed, where `most` times are promised."""
    return max(1, round(most * KILLS))


def some(cases: Sequence[Case], few: int) -> Sequence[Case]:
    """The first few of them by default."""
    return cases if LONG else cases[:few]


def examples(usual: int, most: int) -> int:
    """How many random histories a property is tried with; `MILEPOST_TEST_EXAMPLES` names a number."""
    return int(os.environ.get("MILEPOST_TEST_EXAMPLES", most if LONG else usual))
