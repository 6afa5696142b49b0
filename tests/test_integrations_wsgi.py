"""The WSGI middleware and the Flask extension: context, generated bodies, failures, users, and a server behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from flask import Flask, Request, Response, request, stream_with_context
from flask_login import LoginManager, UserMixin

from integration_site import Recorder, Site
from milepost.client import Milepost
from milepost.integrations.context import InContext
from milepost.integrations.flask import MilepostFlask
from milepost.integrations.request_activity import RequestActivity
from milepost.integrations.wsgi import MilepostMiddleware

pytest_plugins = ["fix_integrations"]

EVERY = RequestActivity()


def call(
    app: Callable[..., Iterable[bytes]], path: str = "/", parts: int | None = None, **environ: str
) -> tuple[str, list[bytes]]:
    """A request as a server makes it. parts: how many parts the client takes before it goes away."""
    made: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "203.0.113.9", **environ}
    setup_testing_defaults(made)
    said: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        said.append(status)
        return lambda _: None

    body = app(made, start_response)
    taken: list[bytes] = []
    try:
        iterator = iter(body)
        while parts is None or len(taken) < parts:
            taken.append(next(iterator))
    except StopIteration:
        pass
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return said[0], taken


class Club:
    """A WSGI application that logs while it makes its body, and notes that it was closed."""

    def __init__(self, client: InContext) -> None:
        self._client = client
        self.closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/broken":
            raise ZeroDivisionError
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self._body(environ["PATH_INFO"])

    def _body(self, path: str) -> Iterator[bytes]:
        try:
            for number in range(3):
                self._client.log("order", data={"part": number})
                yield b"x"
                if path == "/breaks-off":
                    raise ZeroDivisionError
        finally:
            self.closed += 1


def test_a_generated_body(recorder: Recorder) -> None:
    """It is made in the context of its request, closed once, and counts at its end. By the rules of PEP 3333."""
    milepost = InContext(recorder)
    club = Club(milepost)
    app = MilepostMiddleware(validator(club), milepost, requests=EVERY)
    status, body = call(validator(app), "/str\u00c3\u00a4ne", REMOTE_USER="ann", HTTP_X_REQUEST_ID="r-1")
    assert (status, body, club.closed) == ("200 OK", [b"x"] * 3, 1)
    assert [(one["verb"], one["actor"], one["data"]["request_id"]) for one in recorder.seen] == [
        *[("order", "ann", "r-1")] * 3,
        ("request", "ann", "r-1"),
    ]
    assert recorder.last["status"] == "200"
    assert recorder.last["data"]["path"] == "/sträne"
    assert recorder.last["data"]["ip"] == "203.0.113.9"


def test_a_client_that_goes_away(recorder: Recorder) -> None:
    """The body is closed, and the request counts once, as far as it came."""
    milepost = InContext(recorder)
    club = Club(milepost)
    call(MilepostMiddleware(club, milepost, requests=EVERY), parts=1)
    assert club.closed == 1
    assert [one["verb"] for one in recorder.seen] == ["order", "request"]


@pytest.mark.parametrize("path", ["/broken", "/breaks-off"])
def test_an_exception(recorder: Recorder, path: str) -> None:
    """It passes, and counts as 500 once, whether there was a response or not; the next request knows nothing of it."""
    milepost = InContext(recorder)
    app = MilepostMiddleware(Club(milepost), milepost, requests=EVERY)
    with pytest.raises(ZeroDivisionError):
        call(app, path, REMOTE_USER="ann")
    made = [one for one in recorder.seen if one["verb"] == "request"]
    assert [(one["status"], one["data"]["error"], one["actor"]) for one in made] == [("500", "ZeroDivisionError", "ann")]
    milepost.log("order")
    assert recorder.last == {"verb": "order", "actor": "system"}


# ── Flask ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def shop(client: Any, **options: Any) -> tuple[Flask, MilepostFlask]:
    app, audit = Flask("shop"), MilepostFlask(client=client, **options)

    @app.post("/orders/<int:order_id>")
    def order(order_id: int) -> str:
        audit.log("order", object={"kind": "order", "id": str(order_id)})
        return "ordered"

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[str]:
            audit.client.log("order")
            yield "x"

        return Response(stream_with_context(parts()))

    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    audit.init_app(app)
    return app, audit


def test_flask(recorder: Recorder) -> None:
    """A view's activities have the rule and the user; so has the request's own, though it is logged when Flask is through."""
    app, audit = shop(recorder, requests=EVERY)
    audit.user_loader(lambda: request.headers.get("X-User"))
    with app.test_client() as browser:
        assert browser.post("/orders/17?card=4111", headers={"X-User": "ann"}).text == "ordered"
        assert request.path == "/orders/17"  # Flask's test client keeps its contexts, middleware or not
        assert browser.get("/stream", headers={"X-User": "bob"}).text == "x"
        assert browser.get("/nowhere", buffered=True).status_code == 404
        assert browser.get("/broken", headers={"X-User": "ann"}, buffered=True).status_code == 500
    assert [(one["verb"], one["actor"], one["data"].get("route"), one.get("status")) for one in recorder.seen] == [
        ("order", "ann", "/orders/<int:order_id>", None),
        ("request", "ann", "/orders/<int:order_id>", "200"),
        ("order", "bob", "/stream", None),
        ("request", "bob", "/stream", "200"),
        ("request", "anonymous", None, "404"),
        ("request", "ann", "/broken", "500"),
    ]
    assert recorder.seen[0]["data"]["path"] == "/orders/17"


def test_a_broken_user_loader(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Costs the activities their actor, not the request its answer."""
    app, audit = shop(recorder, requests=EVERY)

    @audit.user_loader
    def user() -> str:
        raise RuntimeError

    assert app.test_client().post("/orders/17").text == "ordered"
    assert [one["actor"] for one in recorder.seen] == ["system", "anonymous"]
    assert {record.name for record in caplog.records} == {"milepost.integrations"}


def test_flask_login(recorder: Recorder) -> None:
    """Where Flask-Login is in use its current user acts, and an anonymous one is nobody."""
    app, _ = shop(recorder)
    assert app.test_client().post("/orders/1").status_code == 200  # it is imported, and not in use
    app, _ = shop(recorder)
    login = LoginManager(app)

    @login.request_loader  # type: ignore[untyped-decorator]
    def user(sent: Request) -> UserMixin | None:
        found = UserMixin()
        found.id = sent.headers.get("X-User")
        return found if "X-User" in sent.headers else None

    for headers in ({"X-User": "17"}, {}):
        assert app.test_client().post("/orders/1", headers=headers).status_code == 200
    assert [one["actor"] for one in recorder.seen] == ["system", "17", "system"]


def test_once_for_an_application(recorder: Recorder) -> None:
    """A second extension would log everything twice: it is refused."""
    app, _ = shop(recorder)
    with pytest.raises(RuntimeError, match="already"):
        MilepostFlask(app, recorder)


def test_read_back(site: Site) -> None:
    """From the app's configuration to the API: the activity with its context."""
    app = Flask("shop")
    app.config |= {"MILEPOST_URL": site.url, "MILEPOST_KEY": site.key}
    audit = MilepostFlask(app, requests=EVERY)
    audit.user_loader(lambda: "ann")

    @app.get("/orders/<order_id>")
    def order(order_id: str) -> str:
        audit.log("order", object={"kind": "order", "id": order_id})
        return order_id

    assert app.test_client().get("/orders/17", headers={"X-Request-ID": "r-7"}).text == "17"
    client = app.extensions["milepost"].client
    assert client.flush(30)
    client.close()
    request_made, order_made = site.read()  # a request begins before what is done in it
    assert (order_made["verb"], order_made["actor"], order_made["data"]["request_id"]) == ("order", "ann", "r-7")
    assert (request_made["verb"], request_made["status"], request_made["object"]["id"]) == (
        "request",
        "200",
        "/orders/<order_id>",
    )


def test_without_a_server(nowhere: Milepost) -> None:
    """Requests are answered as if nothing were missing."""
    app, _ = shop(nowhere, requests=EVERY)
    assert [app.test_client().post("/orders/17").status_code for _ in range(20)] == [200] * 20
