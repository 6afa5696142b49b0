"""The chain over HTTP: its head, for whoever keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from fix_postgres import in_own_loop
from milepost.postgres import Database, EmbeddedServer
from milepost.schema.models import apply_model
from milepost.storage.chain_head import Head
from milepost.storage.chain_proof import Proof, check_proof
from milepost.storage.chain_verify import verify_chain
from milepost.web import lifecycle_schemas
from web_client import Api, run_of

MODEL = Path(__file__).parent / "models" / "spine.toml"

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def web_url(server: EmbeddedServer, web_template: str) -> Iterator[str]:
    """A database whose model has a chain."""
    url = server.clone_database(web_template, "web_chain")

    async def apply() -> None:
        async with await Database.connect_owner(url) as owner:
            await apply_model(owner, "chain = true\n" + MODEL.read_text(encoding="utf-8"))

    in_own_loop(apply)
    yield url
    server.drop_database("web_chain")


async def name_of(api: Api) -> str:
    async with await Database.connect_owner(api.served.url) as owner:
        row = await (await owner.execute(b"SELECT name FROM milepost.tenant WHERE tenant_id = %s", (api.tenant_id,))).fetchone()
    assert row is not None
    return str(row[0])


async def test_a_head_is_kept(api: Api) -> None:
    """404 before there is a link. Then it is of the newest, only an administrator gets it, and the chain leads to it."""
    assert (await api("GET", "/v1/admin/chain")).status_code == 404
    await api.send(run_of("user-1", key="one"))
    answer = await api.get("/v1/admin/chain")
    head = msgspec.convert(answer, lifecycle_schemas.ChainHead)
    assert (head.tenant, head.link) == (await name_of(api), 1)
    assert (await api("GET", "/v1/admin/chain", key="read")).status_code == 403
    await api.send(run_of("user-1", key="two"))
    found = await verify_chain(api.services.db, head.tenant, head=msgspec.convert(answer, Head))
    assert (found.items, found.links) == ([], 2)


async def test_an_activity_is_proved(api: Api) -> None:
    """By its id, to the head of a link; one that nobody knows is 404, a link that is not there 400."""
    await api.send(run_of("user-1", key="one"))
    head = msgspec.convert(await api.get("/v1/admin/chain"), Head)
    await api.send(run_of("user-1", key="two"))
    (*_, one) = await api.all_pages("/v1/activities", verb="run")
    path = f"/v1/admin/chain/{one['id']}"
    check_proof(msgspec.convert(await api.get(path, params={"head": head.link}), Proof), head)
    check_proof(msgspec.convert(await api.get(path), Proof), msgspec.convert(await api.get("/v1/admin/chain"), Head))
    answer = await api("GET", path, params={"head": 99})
    detail = "the activity is in link 1 of 2: a head between these proves it"
    assert (answer.status_code, answer.json()["errors"]) == (400, [{"pointer": "/head", "detail": detail}])
    assert (await api("GET", f"/v1/admin/chain/{UUID(int=5)}")).status_code == 404
