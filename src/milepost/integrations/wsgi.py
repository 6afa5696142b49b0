"""A WSGI middleware for every framework: the context of each request, and requests as activities.

    application = MilepostMiddleware(application, client=milepost, requests=RequestActivity(skip=["/healthz"]))

The context also holds while a body is generated; a response counts when its body is through, or closed before that. An
exception, also one in a generated body, passes through and counts as status 500.

The user is `REMOTE_USER`, as an authenticating server sets it, or what `actor(environ)` says; it is asked when an activity is logged. An
application knows more than the protocol: it may put its route into `environ["milepost.route"]` (the Flask extension does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from milepost.integrations._request import Proxies, request_fields
from milepost.integrations.context import Client, Context, InContext, bound
from milepost.integrations.request_activity import RequestActivity, Started

__all__ = ["ROUTE", "MilepostMiddleware"]

ROUTE = "milepost.route"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class MilepostMiddleware:
    """Wraps a WSGI application. Raises ValueError for trusted proxies that are no addresses."""

    def __init__(
        self,
        app: App,
        client: Client | InContext,
        *,
        requests: RequestActivity | None = None,
        actor: Callable[[Environ], str | None] | None = None,
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._client = InContext.of(client)
        self._requests = requests
        self._actor = actor or _remote_user
        self._proxies = Proxies(trusted_proxies)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        context = self._context(environ)
        kept = self._requests
        watch = kept is not None and kept.wants(environ["REQUEST_METHOD"], _path(environ))
        request = _Watched(Started(self._client, kept), environ) if kept is not None and watch else None

        def starting(status: str, headers: Any, *exc_info: Any) -> Any:
            if request is not None:
                request.status = int(status[:3])
            return start_response(status, headers, *exc_info)

        with bound(context):
            try:
                body = self._app(environ, starting)
            except BaseException as error:
                if request is not None:
                    request.done(error)
                raise
        return _Body(body, context, request)

    def _context(self, environ: Environ) -> Context:
        def header(name: str) -> str | None:
            return environ.get(f"HTTP_{name.upper().replace('-', '_')}")

        return Context(
            actor=partial(self._actor, environ),
            fields=request_fields(
                method=environ["REQUEST_METHOD"],
                path=_path(environ),
                peer=environ.get("REMOTE_ADDR"),
                header=header,
                proxies=self._proxies,
            ),
            late=lambda: {"route": environ.get(ROUTE)},
        )


def _path(environ: Environ) -> str:
    """The whole path, in text: WSGI has its bytes as Latin-1 (PEP 3333)."""
    raw: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return raw.encode("latin-1", "replace").decode("utf-8", "replace") or "/"


def _remote_user(environ: Environ) -> str | None:
    return environ.get("REMOTE_USER") or None


class _Watched:
    """A request that will be an activity, once."""

    __slots__ = ("_environ", "_started", "status")

    def __init__(self, started: Started, environ: Environ) -> None:
        self._started: Started | None = started
        self._environ = environ
        self.status = 0

    def done(self, error: BaseException | None) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.done(500 if error else self.status or 500, route=self._environ.get(ROUTE), error=error)


class _Body:
    """The response's body, in the context of its request from the first byte to `close`."""

    def __init__(self, body: Iterable[bytes], context: Context, request: _Watched | None) -> None:
        self._body, self._context, self._request = body, context, request
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with bound(self._context):
            try:
                if self._parts is None:
                    self._parts = iter(self._body)
                return next(self._parts)
            except StopIteration:
                if self._request is not None:
                    self._request.done(None)
                raise
            except BaseException as error:
                if self._request is not None:
                    self._request.done(error)
                raise

    def close(self) -> None:
        with bound(self._context):
            failed: BaseException | None = None
            try:
                close = getattr(self._body, "close", None)
                if close is not None:
                    close()
            except BaseException as error:
                failed = error
                raise
            finally:
                if self._request is not None:
                    self._request.done(failed)
