"""The standards' own clients, as their makers publish them, pointed at a server that runs: what they send is there, once.

Each is run twice with the same messages, and across a SIGKILL of the server. The client for Node is installed from its registry; where
that cannot be, its test is skipped and says so.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
import segment.analytics as segment_analytics
from cloudevents.core.bindings import http as ce
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from fix_postgres import in_own_loop
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.postgres import Database, EmbeddedServer
from processes import program

pytest_plugins = ["fix_web"]

CLIENTS = Path(__file__).parent / "clients"
START = datetime(2026, 3, 1, 7, 12, tzinfo=UTC)
LOADED_S = 60
NPM_S = 240
_numbers = itertools.count(1)


class Site:
    """A server as a process on one port, which may be killed and started again, and one tenant of it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.database_url, self.folder = url, folder
        self.port = free_port()
        self.key = ""

    def create_tenant(self, name: str) -> None:
        async def create() -> str:
            async with await Database.connect_owner(self.database_url) as owner:
                tenant = await create_tenant(owner, name, 1)
                return await create_key(owner, tenant.tenant_id, ["read", "write", "admin"], "test")

        self.key = in_own_loop(create)

    def start(self) -> None:
        place = {"database_url": self.database_url, "data_dir": str(self.folder)}
        self.process = program("serve", "--port", self.port, "--log-level", "warning", **place)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("serving http"), said + (self.process.stderr.read() if self.process.stderr else "")
        self.address = said.split()[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def get(self, path: str, body: bytes | None = None, **headers: str) -> Any:
        given = {"Authorization": f"Bearer {self.key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        with urlopen(Request(self.address + path, body, given), timeout=LOADED_S) as answer:
            return json.load(answer) if answer.status != 204 else None

    def feed(self, actor: str, count: int) -> list[dict[str, Any]]:
        """The actor's activities, once there are so many; then those that come later would be one too many."""
        last = {"actor": "last", "verb": "walk", "key": "last", "occurred_at": START.isoformat()}
        self.get(
            "/v1/activities", json.dumps({"activities": [last]}).encode(), Prefer="wait=30", Content_Type="application/json"
        )
        found: list[dict[str, Any]] = self.get(f"/v1/actors/{actor}/feed?limit=500")["items"]
        assert len(found) == count, [(one["key"], one["verb"]) for one in found]
        return found


def free_port() -> int:
    """Below those that the kernel gives to connections: while the server is dead, nobody else gets it."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@pytest.fixture(scope="module")
def running(server: EmbeddedServer, web_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = "standards_clients"
    site = Site(server.clone_database(web_template, name), tmp_path_factory.mktemp("clients"))
    site.start()
    try:
        yield site
    finally:
        site.process.terminate()
        site.process.communicate(timeout=60)
        server.drop_database(name)


@pytest.fixture
def site(running: Site) -> Site:
    """The running server, with a tenant of this test's."""
    running.create_tenant(f"tenant-{next(_numbers)}")
    return running


def moment(number: int) -> datetime:
    return START + timedelta(minutes=number)


class Killed:
    """Within it the server is dead for a while; at the end it has started again."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __enter__(self) -> None:
        self.site.kill()
        self.starting = Thread(target=self.site.start)  # takes a second: clients meet the dead server first
        self.starting.start()

    def __exit__(self, *_: object) -> None:
        self.starting.join(60)


# ── Segment ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TRACKS = [
    {
        "type": "track",
        "userId": "ann",
        "event": "Workout Completed" if number % 2 else "Walk",
        "messageId": f"m-{number}",
        "timestamp": moment(number).isoformat(),
        "properties": {"workout_id": f"w-{number}", "km": 5.2} if number % 2 else {"distance_m": 900},
        "context": {"groupId": "team-1"},
    }
    for number in range(30)
]
ENTITIES = [
    {
        "type": "identify",
        "userId": "ann",
        "messageId": "i-1",
        "traits": {"name": "Ann", "plan": "pro"},
        "timestamp": START.isoformat(),
    },
    {
        "type": "group",
        "userId": "ann",
        "groupId": "team-1",
        "messageId": "g-1",
        "traits": {"name": "Larks"},
        "timestamp": START.isoformat(),
    },
]


def python_segment(site: Site, messages: list[dict[str, Any]], *, gzip: bool) -> None:
    failures: list[Any] = []
    client = segment_analytics.Client(
        site.key, host=site.address, gzip=gzip, max_retries=20, upload_size=7, on_error=lambda *what: failures.append(what)
    )
    for one in messages:
        same = {
            "timestamp": datetime.fromisoformat(one["timestamp"]),
            "message_id": one["messageId"],
            "context": {**one.get("context", {})},
        }
        match one["type"]:
            case "track":
                client.track(one["userId"], one["event"], {**one["properties"]}, **same)
            case "identify":
                client.identify(one["userId"], one["traits"], **same)
            case _:
                client.group(one["userId"], one["groupId"], one["traits"], **same)
    client.flush()
    client.join()
    assert failures == []


def look_at_segment(site: Site) -> None:
    """What TRACKS and ENTITIES came to."""
    found = site.feed("ann", len(TRACKS))
    assert {one["key"] for one in found} == {one["messageId"] for one in TRACKS}
    assert {one["verb"]: one["measures"]["distance_m"] for one in found} == {"run": 5200, "walk": 900}
    actor = site.get("/v1/actors/ann")
    assert (actor["name"], actor["attributes"]) == ("Ann", {"plan": "pro"})
    assert [one["actor"] for one in site.get("/v1/groups/team-1/members")["items"]] == ["ann"]
    rollup = site.get("/v1/rollups/team_distance?group=team-1&bucket=all")["items"]
    assert rollup[0]["values"]["count"] == len(TRACKS)


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_segment_for_python(site: Site, gzip: bool) -> None:
    """Sent twice, and to a server that is killed in between: each message counts once."""
    python_segment(site, ENTITIES + TRACKS[:20], gzip=gzip)
    with Killed(site):
        python_segment(site, ENTITIES + TRACKS, gzip=gzip)
    look_at_segment(site)


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Segment's client for Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node or no npm here")
    major = int(subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout[1:].partition(".")[0])
    if major < 18:
        pytest.skip(f"Segment's client needs Node 18, and this is {major}")
    folder = tmp_path_factory.mktemp("node")
    package = f"@segment/analytics-node@{'3' if major >= 20 else '2.2.1'}"
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NPM_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install it: {done.stderr.strip()[-200:]}")
    shutil.copy(CLIENTS / "segment.mjs", folder)
    return folder


def node_segment(folder: Path, site: Site, messages: list[dict[str, Any]]) -> None:
    given = json.dumps({"url": site.address, "key": site.key, "messages": messages})
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run([node, "segment.mjs", given], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_segment_for_node(site: Site, node_client: Path) -> None:
    """The same messages from the other client, again, and to a server that is killed in between: each counts once."""
    node_segment(node_client, site, ENTITIES + TRACKS[:20])
    with Killed(site):
        node_segment(node_client, site, ENTITIES + TRACKS)
    python_segment(site, ENTITIES + TRACKS, gzip=True)
    look_at_segment(site)


# ── CloudEvents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_cloudevents_for_python(site: Site) -> None:
    """What the official package makes in binary and structured mode is one event, also to a server that was killed."""
    events = [
        CloudEvent(
            attributes={
                "id": f"e-{number}",
                "source": "https://example.com/désk",
                "type": "com.example.ticket.opened",
                "specversion": "1.0",
                "subject": f"T {number} €",
                "time": moment(number),
                "datacontenttype": "application/json",
            },
            data={"user": "bob", "topic": "login"},
        )
        for number in range(5)
    ]
    for round_ in range(2):
        for event in events:
            for message in (ce.to_binary(event, JSONFormat()), ce.to_structured(event, JSONFormat())):
                body = message.body if isinstance(message.body, bytes) else message.body.encode()
                headers = {name.replace("-", "_"): value for name, value in message.headers.items()}
                assert site.get("/v1/cloudevents", body, **headers)["accepted"] == 1
        if round_ == 0:
            site.kill()
            site.start()
    found = site.feed("bob", len(events))
    assert {one["object"]["id"] for one in found} == {f"T {number} €" for number in range(5)}


# ── OpenTelemetry ──────────────────────────────────────────────────────────────────────────────────────────────────────


def logged(site: Site, compression: Compression, numbers: range) -> None:
    exporter = OTLPLogExporter(
        f"{site.address}/v1/logs", headers={"Authorization": f"Bearer {site.key}"}, compression=compression, timeout=60
    )
    provider = LoggerProvider(resource=Resource({"service.name": "api"}), shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=50))
    logger = provider.get_logger("tests")
    for number in numbers:
        stamp = int(moment(number).timestamp()) * 1_000_000_000
        logger.emit(
            LogRecord(
                timestamp=stamp,
                observed_timestamp=stamp + number,
                severity_number=SeverityNumber.INFO,
                body=f"run {number}",
                attributes={"enduser.id": "cy", "distance_m": 1000 + number},
                event_name="com.example.run",
            )
        )
    provider.force_flush()
    provider.shutdown()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip], ids=["plain", "gzip"])
def test_opentelemetry_for_python(site: Site, compression: Compression, caplog: pytest.LogCaptureFixture) -> None:
    """Exported twice, and to a server that is killed in between, by the official exporter: each record counts once."""
    logged(site, compression, range(10))
    with Killed(site):
        logged(site, compression, range(20))
    found = site.feed("cy", 20)
    assert {one["measures"]["distance_m"] for one in found} == {1000 + number for number in range(20)}
    assert {one["source"] for one in found} == {"api"}
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
