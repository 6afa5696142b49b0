"""Clients of plain HTTP and real servers that are killed: what was answered 202 is loaded, once.

A client sends the same request again until it has its answer, as any client must. Kills come at any instant; `tests/test_kill.py`
has those at the named points. A table at the end says what became of it. `MILEPOST_TEST_KILLS` scales it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

import pytest

from client_site import ClientSite, until
from effort import LONG, kills
from fault_table import Check
from fix_postgres import in_own_loop
from milepost.intake.queue import backlog
from milepost.postgres import Database

pytest_plugins = ["fix_client"]
pytestmark = pytest.mark.timeout(600)

KILLS = kills(20)
TAKEN_OVER = 4 if LONG else 2
CLIENTS, BATCH = 4, 5
TIMEOUT_S = 10
PAUSE_S = 0.01
TAKEN_OVER_S = 20.0  # a lease of one second, and the time until PostgreSQL sees that a killed session's client is gone


class Sender(Thread):
    """Sends batches of numbered activities of one actor, each again until it is acknowledged, to the first server that answers."""

    def __init__(self, actor: str, key: str, ports: list[int]) -> None:
        super().__init__(daemon=True)
        self.actor, self.ports = actor, ports
        self.acknowledged: set[tuple[str, str]] = set()
        self.retried = 0
        self.longest_s = 0.0
        self.error: BaseException | None = None
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._ending = Event()

    def run(self) -> None:
        try:
            while not self._ending.is_set():
                self._acknowledge(len(self.acknowledged))
        except BaseException as error:
            self.error = error

    def finish(self) -> set[tuple[str, str]]:
        """→ what was acknowledged."""
        self._ending.set()
        self.join()
        assert self.error is None, self.error
        return self.acknowledged

    def _acknowledge(self, first: int) -> None:
        numbers = [str(number) for number in range(first, first + BATCH)]
        body = json.dumps({"activities": [self._activity(number) for number in numbers]}).encode()
        began = perf_counter()
        while (status := self._status(body)) != 202:
            assert status in (None, 429, 503), status  # anything else would not be better the next time
            self.retried += 1
            self._ending.wait(PAUSE_S)
        self.longest_s = max(self.longest_s, perf_counter() - began)
        self.acknowledged |= {(self.actor, number) for number in numbers}

    def _activity(self, number: str) -> dict[str, object]:
        return {
            "key": f"{self.actor}-{number}",
            "occurred_at": "2026-03-01T07:12:00Z",
            "actor": self.actor,
            "verb": "run",
            "object": {"kind": "workout", "id": number},
        }

    def _status(self, body: bytes) -> int | None:
        """None: no answer came, so nobody knows whether it was taken."""
        port = self.ports[self.retried % len(self.ports)]
        connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/v1/activities", body, self._headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()


def sending(client_site: ClientSite, ports: list[int]) -> list[Sender]:
    senders = [Sender(f"c{number}", client_site.key, ports) for number in range(CLIENTS)]
    for sender in senders:
        sender.start()
    return senders


def acknowledged(senders: list[Sender]) -> int:
    return sum(len(sender.acknowledged) for sender in senders)


def test_the_server_is_killed_again_and_again(client_site: ClientSite, checked: Check) -> None:
    """Twenty times, at any instant, while four clients send; they see cut connections and refusals, and go on."""
    client_site.start()
    senders = sending(client_site, [client_site.port])
    for _ in range(KILLS):
        reached = acknowledged(senders) + 40 * BATCH
        until(lambda reached=reached: acknowledged(senders) >= reached, "it goes on")
        client_site.kill()
        retried = [sender.retried for sender in senders]
        until(lambda retried=retried: any(one.retried > r for one, r in zip(senders, retried, strict=True)), "they noticed")
        client_site.start()
    expected = set().union(*(sender.finish() for sender in senders))
    loaded = client_site.wait_for(expected)
    checked(f"server killed, {KILLS} times, plain HTTP", expected, loaded, max(sender.longest_s for sender in senders))
    assert loaded.keys() == expected  # every batch was sent until it was acknowledged


@pytest.fixture
def sites(client_site: ClientSite, tmp_path: Path) -> Iterator[list[ClientSite]]:
    """Two servers on one database."""
    other = ClientSite(client_site.database_url, tmp_path / "other", key=client_site.key)
    yield [client_site, other]
    other.stop()


def holder_of(client_site: ClientSite) -> int | None:
    """The process that holds the tenant's lane."""

    async def ask() -> str | None:
        async with await Database.connect_owner(client_site.database_url) as owner:
            (lane,) = [lane for lane in await backlog(owner) if lane.lane == 0]
            return lane.holder if lane.held else None

    holder = in_own_loop(ask)
    return None if holder is None else int(holder.rpartition(":")[2])


def test_who_holds_the_lane_is_killed(sites: list[ClientSite], checked: Check) -> None:
    """The other server takes the lane over within seconds, while it is acknowledged as before; more than once, in turn."""
    for client_site in sites:
        client_site.start()
    senders = sending(sites[0], [client_site.port for client_site in sites])
    slowest_s = 0.0
    for _ in range(TAKEN_OVER):
        until(lambda: holder_of(sites[0]) in [client_site.pid for client_site in sites], "somebody holds it")
        (killed,) = [client_site for client_site in sites if client_site.pid == holder_of(sites[0])]
        killed.kill()
        began, before = perf_counter(), acknowledged(senders)
        until(lambda before=before: acknowledged(senders) > before + 20 * BATCH, "the other acknowledges")
        reached = set().union(*(set(sender.acknowledged) for sender in senders))
        sites[0].wait_for(reached)
        slowest_s = max(slowest_s, perf_counter() - began)
        killed.start()
    expected = set().union(*(sender.finish() for sender in senders))
    checked(
        "lane's holder killed, 4 times, two servers",
        expected,
        sites[0].wait_for(expected),
        max(one.longest_s for one in senders),
    )
    assert slowest_s < TAKEN_OVER_S
