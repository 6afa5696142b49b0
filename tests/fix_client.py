"""For tests of the client.

- `site`: a server of their own that can be killed and started again, and a tenant on it. It is not running yet.
- `answering`: a server that answers as it is told, for what the real one says seldom.
- `checked`: checks what became of what was logged, and prints a table of all checks at the end of the module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from answering import Answering
from client_site import Check, ClientSite, Row, row_of, say_rows

__all__ = ["answering", "checked", "site"]


@pytest.fixture
def site(template_url: str, tmp_path: Path) -> Iterator[ClientSite]:
    made = ClientSite(template_url, tmp_path)
    yield made
    made.stop()


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


@pytest.fixture
def answering() -> Iterator[Answering]:
    made = Answering()
    yield made
    made.stop()
