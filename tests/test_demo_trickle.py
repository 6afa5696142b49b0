"""The trickle: one thing at a time happens, goes the way of every activity, and stops when it is told to."""

from __future__ import annotations

import pytest

from milepost.demo.prepare import prepare
from milepost.demo.trickle import Trickle
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
