"""Celery: tasks of a real worker with forked pool processes, over a real Redis, with the context of whoever published them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker

from integration_site import Recorder, Site
from milepost.integrations.celery import MilepostCelery
from milepost.integrations.context import InContext, context

if TYPE_CHECKING:
    from fix_redis import RedisServer

pytest_plugins = ["fix_integrations", "fix_redis"]

DONE_S = 60


@contextmanager
def shop(client: Any, **options: Any) -> Iterator[tuple[Celery, MilepostCelery]]:
    """An app in memory, whose worker is a thread of this process."""
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    signals.setup_logging.connect(leave_logging_alone)
    tasks = MilepostCelery(client, **options)
    tasks.connect()
    tasks.connect()
    try:
        yield app, tasks
    finally:
        tasks.disconnect()
        signals.setup_logging.disconnect(leave_logging_alone)


def leave_logging_alone(**_: Any) -> None:
    """A worker would set the root logger's level, for all tests that come after."""


def told(recorder: Recorder) -> list[tuple[str, Any, str | None]]:
    return [(one["verb"], one.get("data", {}).get("task"), one.get("status")) for one in recorder.seen]


def test_in_the_same_process(recorder: Recorder) -> None:
    """A task that is called eagerly keeps the caller's context; each event is told once, though it was connected twice."""
    milepost = InContext(recorder)
    with shop(milepost) as (app, _):

        @app.task(name="ship", shared=False)
        def ship() -> None:
            milepost.log("order")

        with context(actor="ann", data={"request_id": "r-1"}):
            ship.apply()
        milepost.log("after")
    assert told(recorder)[:3] == [("task", "ship", "started"), ("order", "ship", None), ("task", "ship", "succeeded")]
    assert [one["actor"] for one in recorder.seen] == ["ann", "ann", "ann", "system"]
    assert [one.get("data", {}).get("request_id") for one in recorder.seen] == ["r-1", "r-1", "r-1", None]
    assert recorder.seen[2]["measures"]["duration_ms"] >= 0


def test_which_events(recorder: Recorder) -> None:
    """An event has another verb, or is left out; a failure is told with its class, and nothing of its arguments."""
    with shop(recorder, verbs={"started": None, "failed": "alarm"}) as (app, _):

        @app.task(name="ship", shared=False)
        def ship(card: str) -> None:
            raise ZeroDivisionError(card)

        ship.apply(args=["4111"])
    assert told(recorder) == [("alarm", "ship", "failed")]
    assert recorder.last["data"]["error"] == "ZeroDivisionError"
    assert "4111" not in str(recorder.seen)
    with pytest.raises(ValueError, match="no event 'begun'"):
        MilepostCelery(recorder, verbs={"begun": None})  # type: ignore[dict-item]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whatever_is_in_the_context(recorder: Recorder) -> None:
    """It reaches the worker as JSON can say it; what it cannot say does not keep a task from being published."""
    milepost = InContext(recorder)
    with shop(milepost) as (app, _):

        @app.task(name="ship", shared=False)
        def ship() -> str:
            milepost.log("order")
            return "shipped"

        with start_worker(app, perform_ping_check=False, shutdown_timeout=DONE_S):
            with context(actor="ann", data={"path": Path("/x"), "part": 1}):
                assert ship.delay().get(timeout=DONE_S) == "shipped"
    (order,) = [one for one in recorder.seen if one["verb"] == "order"]
    assert order["actor"] == "ann"
    assert {"path": "/x", "part": 1, "task": "ship"}.items() <= order["data"].items()


# ── A worker with pool processes, and a server ─────────────────────────────────────────────────────────────────────────


def environment(redis: RedisServer, spool: Path, url: str, key: str) -> dict[str, str]:
    tests, broker = str(Path(__file__).parent), redis.url.replace("unix://", "redis+socket://")
    return os.environ | {
        "SHOP_REDIS": broker,
        "SHOP_SPOOL": str(spool),
        "MILEPOST_URL": url,
        "MILEPOST_KEY": key,
        "PYTHONPATH": tests,
    }


@contextmanager
def worker(given: dict[str, str]) -> Iterator[None]:
    """Two pool processes; ended as a deployment ends them, which lets them deliver."""
    words = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_shop",
        "worker",
        "--pool=prefork",
        "--concurrency=2",
        "--loglevel=WARNING",
    ]
    words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with subprocess.Popen(
        words, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            _, complaint = process.communicate(timeout=DONE_S)
    assert process.returncode == 0, complaint.decode()


def published(given: dict[str, str], script: str) -> str:
    """What a process prints that publishes tasks and waits for them."""
    done = subprocess.run(
        [sys.executable, "-c", f"from celery_shop import *\nimport celery_shop as shop\n{script}"],
        env=given,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DONE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_read_back(site: Site, redis: RedisServer, tmp_path: Path) -> None:
    """From a publisher over forked workers to the API: every step of every task, with the publisher's user and request."""
    given = environment(redis, tmp_path / "spool", site.url, site.key)
    script = """
from milepost.integrations.context import context
with context(actor="ann", data={"request_id": "r-3"}):
    assert shop.ship.delay("17").get(timeout=50) == "17"
    assert shop.flaky.delay().get(timeout=50) == "done"
    shop.broken.delay().get(timeout=50, propagate=False)
shop.notify.delay("18").get(timeout=50)
assert client.flush(30)
"""
    with worker(given):
        published(given, script)
    found = site.read()
    assert {one["actor"] for one in found if one["data"].get("request_id") == "r-3"} == {"ann"}
    seen = [
        (one["data"]["task"].rpartition(".")[2], one.get("status")) for one in found if one["data"].get("request_id") == "r-3"
    ]
    once = ["published", "started", "succeeded"]
    expected: list[tuple[str, str | None]] = [("ship", status) for status in [*once, None]]  # None: what it logged itself
    expected += [("notify", status) for status in once]
    expected += [("flaky", status) for status in ["published", "started", "published", "retried", "started", "succeeded"]]
    expected += [("broken", status) for status in ["published", "started", "failed"]]
    assert sorted(seen, key=str) == sorted(expected, key=str)
    alone = [one for one in found if "request_id" not in one["data"]]
    assert {one["actor"] for one in alone} == {"system"}
    assert sorted(one["status"] for one in alone) == sorted(once)
    (order,) = [one for one in found if one["verb"] == "order"]
    assert (order["actor"], order["object"]["id"], order["data"]["task"]) == ("ann", "17", "celery_shop.ship")


def test_without_a_server(redis: RedisServer, tmp_path: Path) -> None:
    """Tasks are published and run as if nothing were missing."""
    given = environment(redis, tmp_path / "spool", "http://127.0.0.1:9", "mp_1_nobody")
    with worker(given):
        said = published(given, 'print(shop.ship.delay("17").get(timeout=50), shop.flaky.delay().get(timeout=50))')
    assert said == "17 done\n"
