"""The ASGI middleware in Starlette, FastAPI and Litestar: context, routes, streams, failures, and a server behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, cast

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from litestar import Litestar, Router, get
from litestar.middleware import DefineMiddleware
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from integration_site import Recorder, Site
from milepost.client import Milepost
from milepost.integrations.asgi import MilepostMiddleware
from milepost.integrations.context import InContext, identify
from milepost.integrations.request_activity import RequestActivity

pytest_plugins = ["fix_integrations"]

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EVERY = RequestActivity()


class Users(AuthenticationBackend):
    """`Authorization: ann` is ann."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        name = conn.headers.get("authorization")
        return (AuthCredentials(), SimpleUser(name)) if name else None


def club(client: Any, **options: Any) -> Starlette:
    """An app whose views log into `client`."""
    milepost = InContext.of(client)

    async def order(request: Request) -> Response:
        milepost.log("order", object={"kind": "order", "id": str(request.path_params["id"])})
        return PlainTextResponse("ordered")

    def from_a_thread(_: Request) -> Response:
        milepost.log("order")
        return PlainTextResponse("ordered")

    async def stream(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(3):
                milepost.log("order", data={"part": number})
                yield b"x"

        return StreamingResponse(parts())

    async def broken(_: Request) -> Response:
        raise ZeroDivisionError

    async def breaks_off(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"x"
            raise ZeroDivisionError

        return StreamingResponse(parts())

    async def socket(ws: WebSocket) -> None:
        await ws.accept()
        milepost.log("order")
        await ws.send_text("hello")
        await ws.close()

    async def passed_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call_next(request)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.started = True
        yield

    return Starlette(
        routes=[
            Route("/orders/{id:int}", order, methods=["POST"]),
            Route("/thread", from_a_thread),
            Route("/stream", stream),
            Route("/broken", broken),
            Route("/breaks-off", breaks_off),
            Route("/files/{name:path}", from_a_thread),
            Mount("/teams/{team}", routes=[Route("/runs/{id}", from_a_thread)]),
            WebSocketRoute("/socket", socket),
        ],
        middleware=[
            Middleware(MilepostMiddleware, client=milepost, **options),
            Middleware(AuthenticationMiddleware, backend=Users()),
            Middleware(BaseHTTPMiddleware, dispatch=passed_on),
        ],
        lifespan=lifespan,
    )


def test_the_context_of_a_request(recorder: Recorder) -> None:
    """Its user, id, trace, address and route are with what a view logs; its query string and its body are not."""
    with TestClient(club(recorder)) as browser:
        assert browser.app.state.started  # type: ignore[attr-defined]
        headers = {"authorization": "ann", "x-request-id": "r-1", "traceparent": TRACEPARENT, "user-agent": "test/1"}
        answer = browser.post("/orders/17?card=4111", headers=headers, content=b"secret=1")
    assert answer.text == "ordered"
    assert recorder.seen == [
        {
            "verb": "order",
            "actor": "ann",
            "object": {"kind": "order", "id": "17"},
            "data": {
                "request_id": "r-1",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "span_id": "00f067aa0ba902b7",
                "method": "POST",
                "path": "/orders/17",
                "route": "/orders/{id}",
                "ip": "testclient",
                "user_agent": "test/1",
            },
        }
    ]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/thread", "/thread"),
        ("/teams/t-1/runs/2", "/teams/{team}/runs/{id}"),
        ("/files/a/b/c.txt", "/files/{name}"),
    ],
)
def test_routes_of_starlette(recorder: Recorder, path: str, route: str) -> None:
    """A view in a thread has the context, too; the template is whole, whatever mounts it is below."""
    with TestClient(club(recorder)) as browser:
        assert browser.get(path).status_code == 200
    assert recorder.last["actor"] == "system"
    assert recorder.last["data"]["route"] == route


def test_requests_as_activities(recorder: Recorder) -> None:
    """One for each, with route, status and duration, after what its view logged; a 404 has no route."""
    with TestClient(club(recorder, requests=RequestActivity(skip=["/thread"]))) as browser:
        browser.post("/orders/17", headers={"authorization": "ann"})
        browser.get("/orders/17")
        browser.get("/nowhere")
        browser.get("/thread")
    made = [one for one in recorder.seen if one["verb"] == "request"]
    assert [(one["actor"], one.get("object"), one["status"]) for one in made] == [
        ("ann", {"kind": "route", "id": "/orders/{id}"}, "200"),
        ("anonymous", {"kind": "route", "id": "/orders/{id}"}, "405"),
        ("anonymous", None, "404"),
    ]
    assert all(one["measures"]["duration_ms"] >= 0 and one["occurred_at"].tzinfo for one in made)
    assert made[2]["data"]["path"] == "/nowhere"


def test_a_stream(recorder: Recorder) -> None:
    """It passes through part by part in its context, and counts at its end."""
    with TestClient(club(recorder, requests=EVERY)) as browser:
        assert browser.get("/stream", headers={"authorization": "ann"}).text == "xxx"
    assert [(one["verb"], one["actor"], one["data"].get("part")) for one in recorder.seen] == [
        ("order", "ann", 0),
        ("order", "ann", 1),
        ("order", "ann", 2),
        ("request", "ann", None),
    ]


@pytest.mark.parametrize("path", ["/broken", "/breaks-off"])
def test_an_exception(recorder: Recorder, path: str) -> None:
    """It reaches the server as it is, and counts as 500, even after a response has begun with 200."""
    with TestClient(club(recorder, requests=EVERY)) as browser:
        with pytest.raises(ZeroDivisionError):
            browser.get(path)
    assert recorder.last["status"] == "500"
    assert recorder.last["data"]["error"] == "ZeroDivisionError"


def test_a_websocket(recorder: Recorder) -> None:
    """It has a context, and is no request activity."""
    with TestClient(club(recorder, requests=EVERY)) as browser:
        with browser.websocket_connect("/socket", headers={"authorization": "ann"}) as ws:
            assert ws.receive_text() == "hello"
    assert [(one["verb"], one["actor"], one["data"]["route"]) for one in recorder.seen] == [("order", "ann", "/socket")]


async def test_a_client_that_goes_away(recorder: Recorder) -> None:
    """Before there was an answer it counts as 499, and the cancellation goes on."""
    waiting = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiting.set()
        await asyncio.Event().wait()

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/slow", "headers": [], "client": None}
    request = asyncio.create_task(MilepostMiddleware(app, recorder, requests=EVERY)(scope, None, None))
    await waiting.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert recorder.last["status"] == "499"
    assert "error" not in recorder.last["data"]


async def test_fastapi(recorder: Recorder) -> None:
    """Routes with prefixes and mounts have whole templates; a dependency may say who it is, also from a thread."""
    milepost = InContext(recorder)
    app, inner, orders = FastAPI(), FastAPI(), APIRouter(prefix="/orders")

    def user() -> str:
        identify("bob")
        return "bob"

    @orders.post("/{id}")
    async def order(id: int, who: str = Depends(user)) -> str:
        milepost.log("order")
        return who

    @inner.get("/parts/{part}")
    def part(part: str) -> str:
        milepost.log("order")
        return part

    app.include_router(orders, prefix="/api/{version}")
    app.mount("/inner", inner)
    app.add_middleware(MilepostMiddleware, client=milepost, requests=EVERY)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as browser:
        assert (await browser.post("/api/v1/orders/17")).json() == "bob"
        assert (await browser.get("/inner/parts/7")).status_code == 200
        assert (await browser.post("/api/v1/orders/x")).status_code == 422
    assert [(one["verb"], one["actor"], one["data"]["route"], one.get("status")) for one in recorder.seen] == [
        ("order", "bob", "/api/{version}/orders/{id}", None),
        ("request", "bob", "/api/{version}/orders/{id}", "200"),
        ("order", "system", "/inner/parts/{part}", None),
        ("request", "anonymous", "/inner/parts/{part}", "200"),
        ("request", "bob", "/api/{version}/orders/{id}", "422"),
    ]


async def test_litestar(recorder: Recorder) -> None:
    """The template is Litestar's own; errors that it answers have their status."""
    milepost = InContext(recorder)

    @get("/orders/{order:int}")
    async def order(order: FromPath[int]) -> str:
        milepost.log("order")
        return str(1 // order)

    app = Litestar(
        [Router("/api", route_handlers=[order])],
        middleware=[DefineMiddleware(MilepostMiddleware, client=milepost, requests=EVERY, actor=lambda scope: "ann")],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://app") as browser:
        assert (await browser.get("/api/orders/1")).status_code == 200
        assert (await browser.get("/api/orders/0")).status_code == 500
    assert [(one["verb"], one["actor"], one["data"]["route"], one.get("status")) for one in recorder.seen] == [
        ("order", "ann", "/api/orders/{order}", None),
        ("request", "ann", "/api/orders/{order}", "200"),
        ("order", "ann", "/api/orders/{order}", None),
        ("request", "ann", "/api/orders/{order}", "500"),
    ]


# ── With a server, and without one ─────────────────────────────────────────────────────────────────────────────────────


def test_read_back(site: Site) -> None:
    """What a request did, and the request itself, are readable with one request id."""
    with site.client() as client, TestClient(club(client, requests=EVERY)) as browser:
        browser.post("/orders/17", headers={"authorization": "ann", "x-request-id": "r-9"})
        assert client.flush(30)
    request, order = site.read()  # a request begins before what is done in it
    assert (order["verb"], order["actor"], order["object"]) == ("order", "ann", {"kind": "order", "id": "17"})
    assert (request["verb"], request["status"], request["object"]["id"]) == ("request", "200", "/orders/{id}")
    assert order["data"]["request_id"] == request["data"]["request_id"] == "r-9"
    assert order["data"]["route"] == "/orders/{id}"
    assert request["measures"]["duration_ms"] >= 0
    assert len(site.read(**{"data.route": "/orders/{id}", "verb": "request"})) == 1


def test_without_a_server(nowhere: Milepost) -> None:
    """Requests are answered as if nothing were missing, and as fast."""
    with TestClient(club(nowhere, requests=EVERY)) as browser:
        began = perf_counter()
        for _ in range(50):
            assert browser.post("/orders/17").status_code == 200
        assert perf_counter() - began < 5
