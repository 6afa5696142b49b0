"""What the sender makes of each answer, when it tries again, and that nothing is lost over it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from answering import Answering, accept_all
from client_site import until
from milepost.client import AsyncMilepost, Failure, Milepost
from milepost.client._breaker import RETRY_AFTER_S_MAX, Breaker
from proxy import TcpProxy

pytest_plugins = ["fix_client"]


def client_of(answering: Answering, folder: Path, **settings: Any) -> Milepost:
    return Milepost(answering.url, "mp_1_x", spool_dir=folder, **({"retry_s_max": 0.05, "delay_s": 0.02} | settings))


def problem(status: int, **more: Any) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/problem+json"}, json.dumps({"detail": "a sentence"} | more).encode()


def accepted(answering: Answering) -> list[str]:
    """Actors of what arrived, in order."""
    return [one["actor"] for request in answering.requests for one in request]


def test_a_rejected_one_is_named(answering: Answering, tmp_path: Path) -> None:
    """With what the server said of it, and what it was; the others are sent."""

    def reject_b(lines: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
        wrong = [index for index, line in enumerate(lines) if line["actor"] == "b"]
        # A server may have several things to say about one.
        said = [
            {"index": index, "pointer": pointer, "detail": "is not known"} for index in wrong for pointer in ("/verb", "/data")
        ]
        return 202, {}, json.dumps({"accepted": len(lines) - len(wrong), "rejected": said}).encode()

    answering.answers[0] = reject_b
    failures: list[Failure] = []
    with client_of(answering, tmp_path, on_error=failures.append) as client:
        for actor in "abc":
            client.log("run", actor)
        assert client.flush(20)
        counters = client.counters()
    assert (counters.sent, counters.rejected, counters.rejections) == (2, 1, {"/verb: is not known": 1})
    (failure,) = failures
    assert (failure.kind, failure.pointer, failure.detail) == ("rejected", "/verb", "is not known")
    assert failure.activity is not None
    assert failure.activity["actor"] == "b"


@pytest.mark.parametrize("status", [400, 422, 413])
def test_a_batch_that_is_refused_is_split(answering: Answering, tmp_path: Path, status: int) -> None:
    """Until the ones at fault stand alone; the others arrive, in their order."""

    def refuse_with_b(lines: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
        if any(line["actor"] == "b" for line in lines):
            return problem(status, errors=[{"pointer": "/data", "detail": "cannot be"}])
        return accept_all(lines)

    answering.answers[0] = refuse_with_b
    with client_of(answering, tmp_path) as client:
        for number in range(50):
            client.log("run", "b" if number in (0, 17, 18) else str(number))
        assert client.flush(20)
        counters = client.counters()
    taken = [request for request in answering.requests if not any(one["actor"] == "b" for one in request)]
    assert [int(one["actor"]) for request in taken for one in request] == [n for n in range(50) if n not in (0, 17, 18)]
    assert (counters.sent, counters.rejected) == (47, 3)


@pytest.mark.parametrize(
    "answer",
    [
        (503, {"Retry-After": "0"}, b""),
        (429, {}, b"slow down"),
        (500, {}, b""),
        (200, {"Content-Type": "text/html"}, b"<html>log in to the wireless network</html>"),
        (202, {}, b'{"accepted": 7, "rejected": []}'),
        (202, {}, b'{"accepted": 0, "rejected": [{"index": 5, "pointer": "", "detail": ""}]}'),
        (408, {}, b""),
        (401, {"Content-Type": "application/problem+json"}, b'{"detail": "The key is wrong."}'),
        (403, {}, b""),
        (404, {}, b""),
        (302, {"Location": "https://elsewhere.example.com"}, b""),
        (400, {"Content-Type": "text/html"}, b"a proxy does not like it"),
    ],
    ids=lambda answer: f"{answer[0]}-{len(answer[2])}",
)
def test_what_is_no_answer_is_tried_again(
    answering: Answering, tmp_path: Path, answer: tuple[int, dict[str, str], bytes]
) -> None:
    """An overload, a failure, a captive portal, a wrong key: nothing counts as sent or rejected, and later it all arrives."""
    answering.answers.extendleft([answer, answer])
    with client_of(answering, tmp_path) as client:
        client.log("run", "a")
        assert client.flush(20)
        counters = client.counters()
    assert accepted(answering) == ["a", "a", "a"]
    assert (counters.sent, counters.rejected, counters.retried, dict(counters.dropped)) == (1, 0, 2, {})


def test_a_refused_key_is_said_loudly_and_kept(
    answering: Answering, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    """What was logged lies on disk until somebody puts it right, and goes with the tenant's next key."""
    answering.answers[0] = problem(401, detail="The key was revoked.")
    with Milepost(answering.url, "mp_7_old", spool_dir=tmp_path, spill_after_s=3600, retry_s_max=60) as client:
        client.log("run", "a")
        until(lambda: client.counters().in_spool == 1, "it is on disk")
        assert not client.close(0.1)
    assert "The key was revoked" in caplog.text
    assert [record.levelname for record in caplog.records if "takes nothing" in record.message] == ["ERROR"]
    answering.answers[0] = accept_all
    with Milepost(answering.url, "mp_8_other", spool_dir=tmp_path) as other:
        other.log("run", "other's")
        assert other.flush(20)
    with Milepost(answering.url, "mp_7_new", spool_dir=tmp_path) as client:
        until(lambda: client.counters().adopted == 1, "the file is sent")
    assert [(headers["Authorization"], [one["actor"] for one in request]) for headers, request in zip(answering.headers, answering.requests, strict=True)][-2:] == [
        ("Bearer mp_8_other", ["other's"]),
        ("Bearer mp_7_new", ["a"]),
    ]  # fmt: skip
    assert not list(tmp_path.rglob("*.db"))


def test_busy_means_large_batches(answering: Answering, tmp_path: Path) -> None:
    """A burst goes out in few requests, none larger than it may be."""
    with client_of(answering, tmp_path, batch_activities_max=200) as client:
        for number in range(1000):
            client.log("run", str(number))
        assert client.flush(20)
    assert accepted(answering) == [str(number) for number in range(1000)]
    assert max(map(len, answering.requests)) <= 200
    assert len(answering.requests) < 50


def test_a_batch_has_so_many_bytes(answering: Answering, tmp_path: Path) -> None:
    """And one that is larger by itself goes alone."""
    with client_of(answering, tmp_path, batch_bytes_max=10_000) as client:
        for size in (4000, 4000, 4000, 30_000, 10):
            client.log("run", "a", content="x" * size)
        assert client.flush(20)
    sizes = [sum(len(one["content"]) for one in request) for request in answering.requests]
    assert sum(sizes) == 42_010
    assert max(sizes) <= 38_000


def test_the_connection_is_kept(answering: Answering, tmp_path: Path) -> None:
    """And replaced without a word when it was closed while it was idle."""
    port = int(answering.url.rpartition(":")[2])
    with TcpProxy(port) as proxy, Milepost(proxy.url, "mp_1_x", spool_dir=tmp_path, retry_s_max=30) as client:
        for _ in range(5):
            client.log("run", "a")
            assert client.flush(20)
        assert proxy.accepted == 1
        proxy.sever()
        client.log("run", "b")
        assert client.flush(20)
        assert proxy.accepted == 2
        assert client.counters().retried == 0


def test_the_network_is_cut(answering: Answering, tmp_path: Path) -> None:
    """In the middle of a request, or of an answer: it is sent again with the same keys and times, and nothing else."""
    port = int(answering.url.rpartition(":")[2])
    with TcpProxy(port) as proxy, Milepost(proxy.url, "mp_1_x", spool_dir=tmp_path, retry_s_max=0.05) as client:
        proxy.cut_after = 300
        client.log("run", "a", content=[f"{number * 7919:x}" for number in range(2000)])
        assert proxy.wait_for_cuts(2)
        proxy.cut_after, proxy.answers_lost = None, True
        assert answering.heard(2)
        proxy.answers_lost = False
        assert client.flush(20)
        assert client.counters().sent == 1
    assert len({(one["key"], one["occurred_at"]) for request in answering.requests for one in request}) == 1


def test_a_server_that_says_nothing(answering: Answering, tmp_path: Path) -> None:
    """After `timeout_s` it counts as away; before that already, what is logged meanwhile goes to disk."""
    port = int(answering.url.rpartition(":")[2])
    with TcpProxy(port) as proxy:
        proxy.silent = True
        client = Milepost(proxy.url, "mp_1_x", spool_dir=tmp_path, retry_s_max=0.05, timeout_s=2, spill_after_s=0.2)
        with client:
            client.log("run", "a")
            assert proxy.wait_for_connections(1)
            client.log("run", "b")
            until(lambda: client.counters().in_spool == 1, "what was logged meanwhile is on disk")
            proxy.silent = False
            assert client.flush(20)
    assert accepted(answering)[-2:] == ["a", "b"]


def test_close_does_not_wait_for_who_is_away(answering: Answering, tmp_path: Path) -> None:
    """If the next attempt comes after the deadline anyway."""
    answering.answers[0] = (503, {"Retry-After": "200"}, b"")
    client = Milepost(answering.url, "mp_1_x", spool_dir=tmp_path)
    client.log("run", "a")
    assert answering.heard(1)
    began = monotonic()
    assert not client.close(60)
    assert monotonic() - began < 30
    assert client.counters().in_spool == 1


async def test_the_async_client(answering: Answering, tmp_path: Path) -> None:
    """Is the same, with what waits awaited."""
    async with AsyncMilepost(answering.url, "mp_1_x", spool_dir=tmp_path) as client:
        for number in range(10):
            client.log("run", str(number))
        assert await client.flush(20)
        assert client.counters().sent == 10
    assert await client.close()
    assert accepted(answering) == [str(number) for number in range(10)]


async def test_async_flush_in_vain(tmp_path: Path) -> None:
    """False when the time is up."""
    client = AsyncMilepost("http://127.0.0.1:9", "mp_1_x", spool_dir=tmp_path)
    client.log("run", "a")
    assert not await client.flush(0.05)
    assert not await client.close(0)


# ── The breaker ────────────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_to_their_bound() -> None:
    """Each is random, at most twice the one before; the breaker opens, tries once, and closes when that goes through."""
    clock = Clock()
    breaker = Breaker(10, clock=clock, jitter=lambda: 1.0)
    pauses = []
    for _ in range(8):
        assert breaker.wait_s == 0
        breaker.trying()
        breaker.failed()
        pauses.append(breaker.wait_s)
        clock.now += breaker.wait_s
    assert pauses == pytest.approx([0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])
    states = [breaker.state]
    breaker.trying()
    states.append(breaker.state)
    assert states == ["open", "half-open"]
    assert breaker.away_s == pytest.approx(sum(pauses))
    breaker.succeeded()
    assert (breaker.state, breaker.away_s, breaker.wait_s) == ("closed", 0, 0)


def test_retry_after_is_the_least() -> None:
    """But no server can send a client away for days."""
    clock = Clock()
    breaker = Breaker(1, clock=clock, jitter=lambda: 0.0)
    breaker.failed(retry_after_s=7)
    assert breaker.wait_s == 7
    breaker.failed(retry_after_s=1e9)
    assert breaker.wait_s == RETRY_AFTER_S_MAX


def test_retry_after_as_a_date(answering: Answering, tmp_path: Path) -> None:
    """Is read by the server's own clock, however wrong ours is."""
    then = datetime(2001, 1, 1, tzinfo=UTC)
    dates = {
        "Date": format_datetime(then, usegmt=True),
        "Retry-After": format_datetime(then + timedelta(seconds=1), usegmt=True),
    }
    answering.answers.appendleft((503, dates, b""))
    began = monotonic()
    with client_of(answering, tmp_path) as client:
        client.log("run", "a")
        assert client.flush(20)
    assert monotonic() - began >= 1
