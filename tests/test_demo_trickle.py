"""The trickle: one thing at a time happens, goes the way of every activity, and stops when it is told to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from milepost.demo.prepare import prepare
from milepost.demo.trickle import Trickle
from milepost.errors import MilepostError
from milepost.intake.accept import Acceptor
from milepost.model import parse_model
from milepost.settings import Settings
from milepost.web.services import Services


@pytest.mark.parametrize("system", ["fitness", "research"])
async def test_something_happens(system: str, database_url: str, settings: Settings) -> None:
    """What happens is loaded once, by the server that runs."""
    made = await prepare(settings, database_url, system, 50, lambda *_: None)
    services = await Services.start(settings, database_url)
    try:
        trickle = Trickle(services, made.tenant, made.sample)
        loaded = await services.queue.outcome(await trickle.run_once(), 30.0)
        assert loaded is not None
        assert (loaded.loaded, loaded.duplicates) == (1, 0)
        await trickle.stop()
        await trickle.start()
        await trickle.stop()
        await trickle.stop()
    finally:
        await services.stop()


class Happening:
    """A sample in which one thing happens."""

    def live(self, *_: object) -> dict[str, Any]:
        return {"actor": "ana", "verb": "run", "measures": {"distance_m": 5}}


def trickle_under(toml: str) -> Trickle:
    served = SimpleNamespace(acceptor=Acceptor(parse_model(toml), 1))
    services, tenant = SimpleNamespace(models=SimpleNamespace(current=served)), SimpleNamespace(tenant_id=1, lane=0)
    return Trickle(cast("Any", services), cast("Any", tenant), cast("Any", Happening()), per_s=1e6)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('name = "other"\n[verbs.run]\n', "measures/distance_m is not declared in the model"),
        ('name = "other"\n[verbs.walk]\n', "verb 'run' is not a verb of the model"),
    ],
)
async def test_what_another_model_lacks_is_named(toml: str, said: str) -> None:
    """Whoever has applied a model of their own sees what it lacks for the demo."""
    with pytest.raises(MilepostError, match=said):
        await trickle_under(toml).run_once()


async def test_an_error_is_said_once() -> None:
    """However often the same happens."""
    trickle, times, enough = trickle_under('name = "other"\n[verbs.walk]\n'), 0, asyncio.Event()
    once = trickle.run_once

    async def counted() -> int:
        nonlocal times
        times += 1
        if times == 20:
            enough.set()
        return await once()

    trickle.run_once = counted  # type: ignore[method-assign]
    with capture_logs() as logs:
        await trickle.start()
        await enough.wait()
        await trickle.stop()
    assert [one["event"] for one in logs] == ["nothing happens in the demo for now"]
