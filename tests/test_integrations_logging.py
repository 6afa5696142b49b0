"""The logging handler: records as activities, never a loop, an exception or a wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration_site import Recorder, Site
from milepost.client import Milepost
from milepost.integrations.context import context
from milepost.integrations.logging import MilepostHandler

pytest_plugins = ["fix_integrations"]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """One that nobody else listens to."""
    made = logging.getLogger("shop.orders")
    made.setLevel(logging.DEBUG)
    made.propagate = False
    yield made
    made.handlers.clear()


def test_a_record(recorder: Recorder, logger: logging.Logger) -> None:
    """Logger, level, message, place and time; the context's actor and data; of the extra fields those that were named."""
    logger.addHandler(MilepostHandler(recorder, extra=["order_id", "api_key"]))
    with context(actor="ann", data={"request_id": "r-1"}):
        logger.debug("below the level")
        logger.warning("order %s is late", 17, extra={"order_id": 17, "api_key": "k-1", "card": "4111"})
    (made,) = recorder.seen
    assert made["occurred_at"].tzinfo
    assert (made["verb"], made["actor"], made["status"]) == ("log", "ann", "warning")
    assert made["object"] == {"kind": "logger", "id": "shop.orders"}
    place = made["data"].pop("place")
    assert place.endswith(" test_a_record")
    assert made["data"] == {"request_id": "r-1", "message": "order 17 is late", "order_id": 17, "api_key": "***"}


def test_an_exception(recorder: Recorder, logger: logging.Logger) -> None:
    """Its class and the end of its traceback, bounded however deep it is."""

    def deep(depth: int) -> None:
        if depth:
            (deep if depth % 2 else lambda below: deep(below))(depth - 1)
        raise ZeroDivisionError("x" * 100_000)

    logger.addHandler(MilepostHandler(recorder))
    try:
        deep(50)
    except ZeroDivisionError:
        logger.exception("m" * 100_000)
    data = recorder.last["data"]
    assert data["error"] == "ZeroDivisionError"
    assert len(data["exception"]) == 8_000
    assert len(data["message"]) == 2_000


def test_a_record_that_says_more(recorder: Recorder, logger: logging.Logger) -> None:
    """`extra={"milepost": …}` makes it an activity of the app's own."""
    logger.addHandler(MilepostHandler(recorder, actor="shop"))
    logger.info("paid", extra={"milepost": {"verb": "pay", "object": {"kind": "order", "id": "17"}, "data": {"total": 3}}})
    assert (recorder.last["verb"], recorder.last["actor"], recorder.last["object"]["id"]) == ("pay", "shop", "17")
    assert (recorder.last["data"]["total"], recorder.last["data"]["message"]) == (3, "paid")


class Talkative(Recorder):
    """A client that logs whenever it is used."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def log(self, verb: str, actor: str, **more: Any) -> None:
        self._logger.error("sending")
        super().log(verb, actor, **more)


def test_it_does_not_feed_on_itself(logger: logging.Logger, recorder: Recorder) -> None:
    """What is logged while a record is sent, by milepost's loggers, or in the client's threads, is left out."""
    talkative = Talkative(logger)
    logger.addHandler(MilepostHandler(talkative))
    logger.info("once")
    assert [one["data"]["message"] for one in talkative.seen] == ["once"]
    own = logging.getLogger("milepost.client")
    handler = MilepostHandler(recorder)
    handler.handle(own.makeRecord("milepost.client", logging.ERROR, "x", 1, "the server is away", (), None))
    logger.handlers[:] = [handler]
    sender = threading.Thread(target=logger.error, args=("connection refused",), name="milepost send")
    sender.start()
    sender.join()
    assert recorder.seen == []


def test_it_never_raises(logger: logging.Logger, recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that cannot be formatted is logging's own complaint on stderr, and nothing in the app."""
    handler = MilepostHandler(recorder)
    for words in ("%d orders", "%s orders"):
        handler.handle(logger.makeRecord("shop.orders", logging.INFO, "x", 1, words, ("many",), None))
    assert "Logging error" in capsys.readouterr().err
    assert [one["data"]["message"] for one in recorder.seen] == ["many orders"]


def test_it_takes_no_lock(logger: logging.Logger, recorder: Recorder) -> None:
    """A thread that holds the handler's lock, as a fork may leave it, keeps nobody waiting."""
    handler = MilepostHandler(recorder)
    logger.addHandler(handler)
    handler.acquire()
    try:
        other = threading.Thread(target=logger.info, args=("not held up",))
        other.start()
        other.join(10)
        assert not other.is_alive()
    finally:
        handler.release()
    assert recorder.last["data"]["message"] == "not held up"


def test_filters(logger: logging.Logger, recorder: Recorder) -> None:
    """A filter of the handler decides, as with any other."""
    handler = MilepostHandler(recorder)
    allowed: Callable[[logging.LogRecord], bool] = lambda record: "order" in record.getMessage()  # noqa: E731
    handler.addFilter(allowed)
    logger.addHandler(handler)
    logger.info("a session")
    logger.info("an order")
    assert [one["data"]["message"] for one in recorder.seen] == ["an order"]


def test_read_back(site: Site, logger: logging.Logger) -> None:
    """From a logger to the API."""
    with site.client() as client:
        logger.addHandler(MilepostHandler(client))
        with context(actor="ann", data={"request_id": "r-2"}):
            logger.error("order \0 is lost")
        assert client.flush(30)
    (found,) = site.read()
    assert (found["verb"], found["actor"], found["status"]) == ("log", "ann", "error")
    assert (found["data"]["message"], found["data"]["request_id"]) == ("order \ufffd is lost", "r-2")


def test_without_a_server(nowhere: Milepost, logger: logging.Logger) -> None:
    """With the root logger's every word going there, the client's own complaints included, nothing loops and nothing waits."""
    root = logging.getLogger()
    handler = MilepostHandler(nowhere, level=logging.DEBUG)
    root.addHandler(handler)
    try:
        logger.propagate = True
        for number in range(200):
            logger.error("order %s", number)
        nowhere.flush(0.2)
    finally:
        root.removeHandler(handler)
    assert nowhere.counters().accepted == 200
