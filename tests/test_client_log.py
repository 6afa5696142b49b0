"""`log`: it takes anything, raises nothing, and every activity is in one number of the counters."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from answering import Answering
from milepost.client import Counters, Failure, Milepost
from milepost.errors import SettingsError

pytest_plugins = ["fix_client"]

NOWHERE = "http://127.0.0.1:9"  # nothing listens there


def adds_up(counters: Counters) -> bool:
    settled = counters.sent + counters.rejected + sum(counters.dropped.values())
    return counters.accepted == settled + counters.in_spool + counters.in_memory


def test_importing_milepost_is_light() -> None:
    """The client needs the standard library alone, and the package itself loads not even the client before it is named."""
    code = """
import sys
import milepost
assert not any(name.startswith("milepost.") for name in sys.modules), "the client is loaded"
milepost.Milepost, milepost.AsyncMilepost
heavy = {"msgspec", "psycopg", "litestar", "structlog", "click", "duckdb", "backports", "urllib3"}
assert not heavy & {name.partition(".")[0] for name in sys.modules}
try:
    milepost.Milepots
except AttributeError as error:
    assert "Milepots" in str(error)
"""
    source = str(Path(__file__).parent.parent / "src")
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env={"PYTHONPATH": source})


def test_what_is_sent(answering: Answering, tmp_path: Path) -> None:
    """The whole activity, stamped with a key and a time of its own where it has none."""
    before = datetime.now(UTC)
    with Milepost(answering.url, "mp_1_secret", spool_dir=tmp_path) as client:
        client.log("login", 17)
        client.log(
            "run",
            "user-17",
            object=("workout", UUID(int=5)),
            group="team-3",
            groups={"team-4"},
            measures={"distance_m": Decimal("5200.5"), "n": 3},
            data={"when": date(2026, 3, 1), "ids": {1}, "each": (1, 2), "note": "žluťoučký"},
            content=[{"deep": {"a": 1}}],
            files={"scan": "ticket-1", "other": ("ticket-2",)},
            visibility="private",
            source="strava",
            status="ok",
            key="run-8841",
            occurred_at=datetime(2026, 3, 1, 8, 12, tzinfo=timezone(timedelta(hours=1))),
        )
        assert client.flush(20)
        (login, run) = [one for request in answering.requests for one in request]
        assert client.counters().sent == 2
    assert (login["verb"], login["actor"]) == ("login", "17")
    assert before <= datetime.fromisoformat(login["occurred_at"]) <= datetime.now(UTC)
    assert login["key"]
    assert run == {
        "key": "run-8841",
        "occurred_at": "2026-03-01T07:12:00+00:00",
        "actor": "user-17",
        "verb": "run",
        "object": {"kind": "workout", "id": "00000000-0000-0000-0000-000000000005"},
        "group": "team-3",
        "groups": ["team-4"],
        "measures": {"distance_m": 5200.5, "n": 3},
        "data": {"when": "2026-03-01", "ids": [1], "each": [1, 2], "note": "žluťoučký"},
        "content": [{"deep": {"a": 1}}],
        "files": {"scan": ["ticket-1"], "other": ["ticket-2"]},
        "visibility": "private",
        "source": "strava",
        "status": "ok",
    }
    headers = answering.headers[0]
    assert headers["Authorization"] == "Bearer mp_1_secret"
    assert headers["User-Agent"].startswith("milepost-python/")


def test_keys_are_unique(answering: Answering, tmp_path: Path) -> None:
    """Of two clients, and of many threads."""
    clients = [Milepost(answering.url, "mp_1_x", spool_dir=tmp_path) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda client=client: [client.log("login", "a") for _ in range(500)]) for client in clients * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(client.close(30) for client in clients)
    keys = [one["key"] for request in answering.requests for one in request]
    assert len(set(keys)) == len(keys) == 4000


class Strange:
    def __str__(self) -> str:
        raise RuntimeError("no")


class Zone(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        raise RuntimeError("no offset")

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        return "nowhere"


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no actor": ({"actor": None}, "/actor"),
    "a verb that is none": ({"verb": 5}, "/verb"),
    "object": ({"object": "workout"}, "/object"),
    "half an object": ({"object": {"kind": "workout"}}, "/object"),
    "object's kind": ({"object": (1, "w-1")}, "/object/kind"),
    "a group that is none": ({"group": 1.5}, "/group"),
    "groups": ({"groups": "team-1"}, "/groups"),
    "one of the groups": ({"groups": ["a", None]}, "/groups"),
    "measures": ({"measures": [1]}, "/measures"),
    "a measure": ({"measures": {"n": "5"}}, "/measures/n"),
    "not a number": ({"measures": {"n": float("nan")}}, "/measures"),
    "data": ({"data": "x"}, "/data"),
    "something in data": ({"data": {"a": {"b": Strange()}}}, "/data"),
    "a circle": ({"content": CIRCLE}, "/content"),
    "half a surrogate pair": ({"data": {"path": "\udcff"}}, ""),
    "no zone": ({"occurred_at": datetime(2026, 1, 1)}, "/occurred_at"),
    "a text for a time": ({"occurred_at": "2026-01-01"}, "/occurred_at"),
    "a zone that raises": ({"occurred_at": datetime(2026, 1, 1, tzinfo=Zone())}, ""),
    "visibility": ({"visibility": 1}, "/visibility"),
    "a truth for a key": ({"key": True}, "/key"),
}


@pytest.mark.parametrize("fields, pointer", WRONG.values(), ids=WRONG)
def test_what_cannot_be_an_activity(answering: Answering, tmp_path: Path, fields: dict[str, Any], pointer: str) -> None:
    """Does not raise; it is counted, reported with the field, and the others go on."""
    failures: list[Failure] = []
    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path, on_error=failures.append) as client:
        client.log("login", "first")
        client.log(**({"verb": "login", "actor": "a"} | fields))
        client.log("login", "last")
        assert client.flush(20)
        counters = client.counters()
    assert [one["actor"] for request in answering.requests for one in request] == ["first", "last"]
    assert (counters.accepted, counters.sent, counters.dropped["invalid"]) == (3, 2, 1)
    assert [(failure.kind, failure.reason, failure.pointer) for failure in failures] == [("dropped", "invalid", pointer)]
    assert failures[0].detail


def test_a_reused_dict_does_no_harm(answering: Answering, tmp_path: Path) -> None:
    """The app may use its dicts again at once."""
    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path) as client:
        data, measures, groups = {"a": 1}, {"n": 1}, ["g"]
        for number in range(3):
            data["a"] = measures["n"] = number
            groups[0] = str(number)
            client.log("login", "a", data=data, measures=measures, groups=groups)
        assert client.flush(20)
    found = [(one["data"]["a"], one["measures"]["n"], one["groups"]) for request in answering.requests for one in request]
    assert found == [(0, 0, ["0"]), (1, 1, ["1"]), (2, 2, ["2"])]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Without a server and without files, what does not fit is dropped and counted; the oldest stay."""
    failures: list[Failure] = []
    client = Milepost(
        NOWHERE, "mp_1_x", spool_dir=tmp_path, spool_bytes_max=0, memory_activities_max=100, on_error=failures.append
    )
    for _ in range(1000):
        client.log("login", "a")
    counters = client.counters()
    assert adds_up(counters)
    assert not client.close(0.5)
    counters = client.counters()
    assert (counters.accepted, counters.in_memory, counters.dropped) == (1000, 0, {"memory_full": 1000})
    assert sum(failure.count for failure in failures) == 1000
    assert not list(tmp_path.iterdir())


def test_bytes_are_bounded(tmp_path: Path) -> None:
    """By what they are as JSON."""
    client = Milepost(NOWHERE, "mp_1_x", spool_dir=tmp_path, spool_bytes_max=0, memory_bytes_max=64 * 1024, delay_s=0)
    for _ in range(20):
        client.log("login", "a", content="x" * 10_000)
    threading.Event().wait(0.2)
    counters = client.counters()
    assert counters.in_memory == 6
    assert counters.dropped["memory_full"] == 14
    client.close(0)


def test_times_are_in_order(answering: Answering, tmp_path: Path) -> None:
    """No two activities of a thread have one time, however fast they come, so that a feed has them in their order."""
    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path) as client:
        for number in range(2000):
            client.log("login", number)
        assert client.flush(20)
    found = [(one["occurred_at"], int(one["actor"])) for request in answering.requests for one in request]
    assert [number for _, number in sorted(found)] == list(range(2000))
    assert len({moment for moment, _ in found}) == 2000


def test_after_the_end(answering: Answering, tmp_path: Path) -> None:
    """A closed client takes nothing, says so in its counters, and still does not raise."""
    client = Milepost(answering.url, "mp_1_x", spool_dir=tmp_path)
    client.log("login", "a")
    assert client.close()
    assert client.close()
    client.log("login", "b")
    assert client.flush()
    counters = client.counters()
    assert (counters.accepted, counters.sent, counters.dropped["closed"]) == (2, 1, 1)


def test_counters_add_up_at_every_moment(answering: Answering, tmp_path: Path) -> None:
    """From eight threads, with mistakes among them and a look at any time."""
    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path, memory_activities_max=1000) as client:

        def work() -> None:
            for number in range(3000):
                client.log("login", None if number % 100 == 0 else "a")  # type: ignore[arg-type]

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert adds_up(client.counters())
        assert client.flush(60)
        counters = client.counters()
    assert adds_up(counters)
    assert (counters.accepted, counters.in_memory, counters.in_spool) == (24_000, 0, 0)


def test_a_callback_that_raises(answering: Answering, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is logged, and stops nothing."""

    def fail(_: Failure) -> None:
        raise RuntimeError("mine")

    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path, on_error=fail) as client:
        client.log("login", None)  # type: ignore[arg-type]
        client.log("login", "a")
        assert client.flush(20)
        assert client.counters().sent == 1
    assert "on_error raised" in caplog.text


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"url": None}, "MILEPOST_URL"),
        ({"key": None}, "MILEPOST_KEY"),
        ({"url": "localhost:8000"}, "is not the address of a server"),
        ({"url": "ftp://example.com"}, "is not the address of a server"),
        ({"key": "ключ"}, "characters"),
        ({"delay_s": -1}, "delay_s is -1"),
        ({"memory_activities_max": "many"}, "memory_activities_max is 'many'"),
    ],
)
def test_wrong_settings(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], sentence: str) -> None:
    """Are refused when the client is made, with the name of what is wrong."""
    monkeypatch.delenv("MILEPOST_URL", raising=False)
    monkeypatch.delenv("MILEPOST_KEY", raising=False)
    with pytest.raises(SettingsError, match=sentence):
        Milepost(**({"url": NOWHERE, "key": "mp_1_x"} | given))


def test_settings_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, answering: Answering, tmp_path: Path
) -> None:  # fmt: skip
    """MILEPOST_URL, MILEPOST_KEY, MILEPOST_SPOOL_DIR; the key is not shown."""
    monkeypatch.setenv("MILEPOST_URL", answering.url)
    monkeypatch.setenv("MILEPOST_KEY", "mp_1_secret")
    monkeypatch.setenv("MILEPOST_SPOOL_DIR", str(tmp_path))
    with Milepost() as client:
        client.log("login", "a")
        assert client.flush(20)
        assert "secret" not in repr(client)
    assert answering.headers[0]["Authorization"] == "Bearer mp_1_secret"
