"""A server of HTTP for tests: the whole of it, in this process, on a database of its own; and a tenant of its own for each test.

- `served`: the services of one module's tests, with the model `tests/models/spine.toml`, and its application.
- `api`: a fresh tenant on it, its keys, and a client that speaks to it.

Modules that use them say `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio

from fix_postgres import in_own_loop
from milepost.postgres import Database, EmbeddedServer
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage.partitions import ahead
from milepost.web.application import build_app
from milepost.web.health import missing
from milepost.web.services import Services
from web_client import LANES, Api, Served, tenant_on

MODEL = Path(__file__).parent / "models" / "spine.toml"
TEMPLATE = "web_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def web_template(server: EmbeddedServer, template: str) -> str:
    """The name of a database with milepost's schema and the model."""
    url = server.clone_database(template, TEMPLATE)

    async def apply() -> None:
        async with await Database.connect_owner(url) as owner:
            await apply_model(owner, MODEL.read_text(encoding="utf-8"))
            await ahead(owner, datetime.now(UTC))

    in_own_loop(apply)
    return TEMPLATE


@pytest.fixture(scope="module")
def web_url(server: EmbeddedServer, web_template: str) -> Iterator[str]:
    name = f"web_{next(_numbers)}"
    yield server.clone_database(web_template, name)
    server.drop_database(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(web_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("web"),
        host="127.0.0.1",
        port=0,
        write_pool_min=0,
        point_pool_min=0,
        analytics_pool_min=0,
        lanes=LANES,
    )
    services = await Services.start(settings, web_url)
    try:
        while await missing(services):  # the loaders get their lanes beside us
            pass
        yield Served(url=web_url, settings=settings, services=services, app=build_app(services))
    finally:
        await services.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def api(served: Served) -> AsyncIterator[Api]:
    tenant_id, keys = await tenant_on(served)
    transport = httpx.ASGITransport(cast("Any", served.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://milepost", timeout=60) as client:
        yield Api(served, client, tenant_id, keys)
