"""For tests of the client.

- `site`: a server of their own that can be killed and started again, and a tenant on it. It is not running yet.
- `answering`: a server that answers as it is told, for what the real one says seldom.
- `checked`: see `fix_faults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from answering import Answering
from client_site import ClientSite

__all__ = ["answering", "client_site", "site"]

pytest_plugins = ["fix_faults"]


@pytest.fixture
def client_site(template_url: str, tmp_path: Path) -> Iterator[ClientSite]:
    made = ClientSite(template_url, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def answering() -> Iterator[Answering]:
    made = Answering()
    yield made
    made.stop()


@pytest.fixture
def site(client_site: ClientSite) -> ClientSite:
    """The same, for modules that know one kind of site alone: other plugins have a fixture of this name, too."""
    return client_site
