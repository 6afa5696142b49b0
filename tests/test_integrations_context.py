"""The context: what is known of a request, a user and a trace, who may say it, and how it gets into an activity."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from integration_site import Recorder
from milepost.integrations._request import Proxies, request_fields, user_id
from milepost.integrations._text import is_secret, masked_path, text
from milepost.integrations._trace import traceparent_ids
from milepost.integrations.context import FIELDS, Context, InContext, bound, context, identify
from milepost.integrations.request_activity import RequestActivity

pytest_plugins = ["fix_integrations"]

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


# ── What an activity gets ──────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_known(recorder: Recorder) -> None:
    """Outside of all contexts the client's own actor acts, and no data is made up."""
    InContext(recorder, actor="cron").log("sweep")
    assert recorder.seen == [{"verb": "sweep", "actor": "cron"}]


def test_contexts_nest(recorder: Recorder) -> None:
    """An inner context adds to the outer one, and is gone after its block; what an activity says of itself wins."""
    milepost = InContext(recorder)
    with context(actor="ann", data={"import": "march", "part": 1}):
        with context(data={"part": 2}):
            milepost.log("upload", data={"part": 3, "size": 7})
            milepost.log("upload", "bob")
        milepost.log("upload")
    milepost.log("upload")
    assert recorder.seen == [
        {"verb": "upload", "actor": "ann", "data": {"import": "march", "part": 3, "size": 7}},
        {"verb": "upload", "actor": "bob", "data": {"import": "march", "part": 2}},
        {"verb": "upload", "actor": "ann", "data": {"import": "march", "part": 1}},
        {"verb": "upload", "actor": "system"},
    ]


def test_fields_have_names(recorder: Recorder) -> None:
    """Each field goes to `data` under its name, under another one, or not at all; late ones are asked for each time."""
    routes = iter([None, "/orders/{id}"])
    around = Context(fields={"ip": "203.0.113.9", "method": "GET"}, late=lambda: {"route": next(routes)})
    with bound(around):
        InContext(recorder, attach={"ip": None}).log("look")
        InContext(recorder, attach={"method": "http_method"}).log("look")
    assert [one["data"] for one in recorder.seen] == [
        {"method": "GET"},
        {"ip": "203.0.113.9", "http_method": "GET", "route": "/orders/{id}"},
    ]
    with pytest.raises(ValueError, match="no field 'rout'; did you mean 'route'"):
        InContext(recorder, attach={"rout": None})
    assert set(FIELDS) >= {"request_id", "trace_id", "path", "user_agent"}


def test_a_user_who_cannot_be_told(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """A function of the app's that fails costs the activity its actor, and a warning, not the request."""

    def broken() -> str:
        raise RuntimeError("the session is gone")

    with context(actor=broken, data={"a": 1}):
        InContext(recorder).log("look")
    assert recorder.seen == [{"verb": "look", "actor": "system", "data": {"a": 1}}]
    assert [(record.name, record.levelno) for record in caplog.records] == [("milepost.integrations", logging.WARNING)]


async def test_tasks_and_threads(recorder: Recorder) -> None:
    """A context passes on to tasks made in it, and stays away from other threads; who was identified holds for the request's tasks."""
    milepost = InContext(recorder)

    async def request(name: str) -> None:
        with bound(Context(data={"request": name})):
            await asyncio.to_thread(identify, name)
            await asyncio.gather(asyncio.sleep(0), asyncio.create_task(asyncio.to_thread(milepost.log, "look")))

    await asyncio.gather(request("a"), request("b"))
    assert sorted((one["actor"], one["data"]["request"]) for one in recorder.seen) == [("a", "a"), ("b", "b")]
    with context(actor="ann"):
        other = threading.Thread(target=milepost.log, args=("look",))
        other.start()
        other.join()
    assert recorder.last["actor"] == "system"


# ── Traces ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-next", True),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        ("", False),
        (None, False),
    ],
)
def test_traceparent(header: str | None, known: bool) -> None:
    """A header is believed only if it is one, by W3C's rules."""
    assert traceparent_ids(header) == ({"trace_id": TRACE, "span_id": SPAN} if known else {})


def test_opentelemetry(recorder: Recorder) -> None:
    """The span that runs now is nearer than the one in the request's header; without a span the header stands."""
    tracer = TracerProvider().get_tracer("test")
    milepost = InContext(recorder)
    with bound(Context(fields=traceparent_ids(f"00-{TRACE}-{SPAN}-01"))):
        milepost.log("look")
        with tracer.start_as_current_span("work") as span:
            milepost.log("look")
    assert trace.get_current_span() is not span
    ids = span.get_span_context()
    assert [one["data"] for one in recorder.seen] == [
        {"trace_id": TRACE, "span_id": SPAN},
        {"trace_id": f"{ids.trace_id:032x}", "span_id": f"{ids.span_id:016x}"},
    ]


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "remote"),
    [
        ([], "198.51.100.1", "203.0.113.9", "198.51.100.1"),
        (["10.0.0.0/8"], "198.51.100.1", "203.0.113.9", "198.51.100.1"),
        (["10.0.0.0/8"], "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        (["10.0.0.1"], "10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        (["10.0.0.1"], "10.0.0.1", "203.0.113.9, unknown", None),
        (["10.0.0.1"], "10.0.0.1", None, "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "10.0.0.2", "10.0.0.2"),
        (["unix"], "", "203.0.113.9", "203.0.113.9"),
        ([], None, "203.0.113.9", None),
        ([], "testclient", "203.0.113.9", "testclient"),
    ],
)
def test_the_remote_address(trusted: list[str], peer: str | None, forwarded: str | None, remote: str | None) -> None:
    """`X-Forwarded-For` is believed from trusted proxies alone, and only as far as they wrote it."""
    assert Proxies(trusted).remote(peer, forwarded) == remote


def test_trusted_proxies_are_addresses() -> None:
    """A text, or what is no address, is refused when the app starts."""
    for wrong in ("10.0.0.0/8", ["proxy.example.com"]):
        with pytest.raises(ValueError, match=r"proxies|address|network"):
            Proxies(wrong)


def fields(path: str = "/", **headers: str) -> dict[str, Any]:
    return request_fields(
        method="GET", path=path, peer="203.0.113.9", header=lambda name: headers.get(name.replace("-", "_")), proxies=Proxies()
    )


def test_a_request_id() -> None:
    """The one that came is kept if it could be one; else there is a new one."""
    assert fields(x_request_id="abc-123")["request_id"] == "abc-123"
    for hostile in ("a b", "x" * 129, 'a"}', ""):
        made = fields(x_request_id=hostile)["request_id"]
        assert made != hostile
        assert len(made) == 32


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/orders/17", "/orders/17"),
        ("/reset/MQ/c4a1xq-5f2b9c0d4e6a8b1c3d5e7f9a0b2c4d6e/", "/reset/MQ/***/"),
        ("/invite/Zx8_kQ2mN4pR6tV8wY0aC2eG4iK6mO8q", "/invite/***"),
        ("/u/8f14e45f-ceea-467f-a0e6-1b2c3d4e5f60", "/u/8f14e45f-ceea-467f-a0e6-1b2c3d4e5f60"),
        ("/blog/what-happened-in-march-2026-to-us", "/blog/what-happened-in-march-2026-to-us"),
    ],
)
def test_a_path_without_its_tokens(path: str, shown: str) -> None:
    """A segment that looks like a token is masked; numbers, slugs and UUIDs stay."""
    assert masked_path(path) == shown


def test_texts_can_be_stored() -> None:
    """They are bounded, and have neither NUL nor half a surrogate pair."""
    assert text("abcdef", 4) == "abc…"
    assert text("a\0b\ud800c", 9) == "a\ufffdb\ufffdc"
    assert fields(user_agent="x" * 1000)["user_agent"] == "x" * 255 + "…"


def test_secrets_by_name() -> None:
    """What is called a secret is one; a key, a passenger and a tokenizer's owner have their values shown where they are told apart."""
    for name in ("password", "api_key", "apiKey", "refresh_token", "otp", "Authorization", "client_secret"):
        assert is_secret(name), name
    for name in ("passenger", "keyboard", "status", "pinned", "salty"):
        assert not is_secret(name), name


class User:
    """As frameworks have them."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)


@pytest.mark.parametrize(
    ("user", "found"),
    [
        (None, None),
        ("ann", "ann"),
        (17, "17"),
        ({"sub": "auth0|17"}, "auth0|17"),
        (User(pk=17, is_authenticated=True), "17"),
        (User(pk=None, is_authenticated=False), None),
        (User(username="ann"), "ann"),
        (User(), None),
    ],
)
def test_a_users_id(user: Any, found: str | None) -> None:
    """Whatever a framework calls its user has an id, or is nobody."""
    assert user_id(user) == found


# ── Which requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_which_requests_count() -> None:
    """By path, method, status and duration."""
    kept = RequestActivity(paths=["/api/*"], skip=["/api/health*"], methods=["POST"], statuses=["5xx", 404], slower_than_ms=10)
    assert kept.wants("POST", "/api/orders/17")
    assert not kept.wants("GET", "/api/orders/17")
    assert not kept.wants("POST", "/api/healthz")
    assert not kept.wants("POST", "/static/x.css")
    assert kept.counts(503, 11)
    assert kept.counts(404, 11)
    assert not kept.counts(200, 11)
    assert not kept.counts(503, 9)
    for wrong in ({"statuses": ["6xx"]}, {"statuses": "5xx"}, {"paths": "/api"}):
        with pytest.raises(ValueError, match=r"statuses|paths"):
            RequestActivity(**wrong)
