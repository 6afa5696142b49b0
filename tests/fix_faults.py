"""For tests of faults.

- `checked`: checks what became of what was acknowledged, and prints a table of all checks at the end of the module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from fault_table import Check, Row, row_of, say_rows

__all__ = ["checked", "rows"]


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    collected: list[Row] = []
    yield collected
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if collected and capture is not None:
        with capture.global_and_fixture_disabled():
            print(f"\n{say_rows(collected)}")


@pytest.fixture
def checked(rows: list[Row]) -> Check:
    """`checked(fault, expected, loaded, longest_s)`: all is there, once."""

    def check(fault: str, expected: set[tuple[str, str]], loaded: Counter[tuple[str, str]], longest_s: float | None) -> Row:
        row = row_of(fault, expected, loaded, longest_s)
        rows.append(row)
        assert (row.lost, row.duplicated, row.loaded) == (0, 0, row.accepted), row
        return row

    return check
