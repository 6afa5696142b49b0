"""For tests of integrations.

- `recorder`: a client that keeps what is logged, for what an integration makes of its framework.
- `site`: a real server as a process of its own, with the model of docs/integrations.md: `site.client()` is a real client of a new tenant,
  `site.read()` its activities as the API gives them.
- `nowhere`: a real client of a server that is not there.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from integration_site import Recorder, Site, model_of_the_page, said
from milepost.client import Milepost
from milepost.postgres import EmbeddedServer
from processes import program


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


_numbers = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def server_of_integrations(
    server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A running server: its address, and the settings by which commands find its database."""
    name = f"integrations_{next(_numbers)}"
    folder = tmp_path_factory.mktemp("integrations")
    model = folder / "model.toml"
    model.write_text(model_of_the_page(), encoding="utf-8")
    place = {"database_url": server.clone_database(template, name), "data_dir": str(folder / "data")}
    with program("serve", "--port", "0", "--model", model, "--log-level", "warning", **place) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("serving http"):
                assert process.stderr is not None
                pytest.fail(f"the server ended: {line}{process.stderr.read()}")
            yield place | {"url": line.split()[1]}
        finally:
            process.terminate()
            process.communicate(timeout=60)
    server.drop_database(name)


@pytest.fixture
def site(server_of_integrations: dict[str, str], tmp_path: Path) -> Site:
    """A tenant of its own."""
    place = dict(server_of_integrations)
    url, name = place.pop("url"), f"tenant-{next(_numbers)}"
    said(program("tenant", "create", name, "--json", **place))
    key = said(program("key", "create", "--tenant", name, "--scope", "read,write", "--json", **place))["key"]
    return Site(url, key, tmp_path / "spool", tenant=name, database_url=place["database_url"])


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Milepost]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    client = Milepost(f"http://127.0.0.1:{port}", "mp_1_nobody", spool_dir=tmp_path / "nowhere", timeout_s=1)
    yield client
    client.close(timeout=0.1)
