"""An ASGI middleware for Starlette, FastAPI, Litestar and every other: the context of each request, and requests as activities.

    app.add_middleware(MilepostMiddleware, client=milepost, requests=RequestActivity(skip=["/healthz"]))

It is bare ASGI: bodies stream through it untouched, and a response counts when its last byte is sent. An exception passes through and
counts as status 500, a client that went away before there was an answer as 499. WebSockets get a context, and are no request activities;
lifespan events pass by.

The user is what an authentication middleware put into `scope["user"]`, or what `actor(scope)` says; it is asked when an activity is logged.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from milepost.integrations._request import Proxies, request_fields, user_id
from milepost.integrations.context import Client, Context, InContext, bound
from milepost.integrations.request_activity import RequestActivity, Started

__all__ = ["MilepostMiddleware", "route_of"]

# ASGI's own; each framework has types for them that no other takes.
Scope = Any
Message = Any
Receive = Any
Send = Any
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_CLIENT_CLOSED = 499
_CONVERTOR = re.compile(r":\w+}")


class MilepostMiddleware:
    """Wraps an ASGI application. Raises ValueError for trusted proxies that are no addresses."""

    def __init__(
        self,
        app: Any,
        client: Client | InContext,
        *,
        requests: RequestActivity | None = None,
        actor: Callable[[Scope], str | None] | None = None,
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        self._app: App = app
        self._client = InContext.of(client)
        self._requests = requests
        self._actor = actor or _user_of
        self._proxies = Proxies(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = scope["path"]  # a router may put another one there
        with bound(self._context(scope, path)):
            kept = self._requests
            if kept is None or scope["type"] == "websocket" or not kept.wants(scope["method"], path):
                await self._app(scope, receive, send)
            else:
                await self._watched(Started(self._client, kept), path, scope, receive, send)

    async def _watched(self, started: Started, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        failed: BaseException | None = None
        try:
            await self._app(scope, receive, sending)
        except BaseException as error:
            failed = error
            raise
        finally:
            if isinstance(failed, asyncio.CancelledError):
                status, failed = status or _CLIENT_CLOSED, None
            started.done(500 if failed else status or 500, route=route_of(scope, path), error=failed)

    def _context(self, scope: Scope, path: str) -> Context:
        def header(name: str) -> str | None:
            sought = name.encode()
            return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == sought) or None

        peer = scope.get("client")
        return Context(
            actor=partial(self._actor, scope),
            fields=request_fields(
                method=scope.get("method", "GET"),
                path=path,
                peer=peer[0] if peer else None,
                header=header,
                proxies=self._proxies,
            ),
            late=lambda: {"route": route_of(scope, path)},
        )


def _user_of(scope: Scope) -> str | None:
    return user_id(scope.get("user"))


def route_of(scope: Mapping[str, Any], path: str) -> str | None:
    """The template that the path matched, such as `/orders/{id}`; None before routing, and where nothing matched.

    Litestar says it. Starlette and FastAPI say the innermost route; what mounts and prefixes put before it is taken from the path, with
    the values of its parameters replaced by their names.
    """
    if "path_template" in scope:
        return str(scope["path_template"]) or "/"
    if "endpoint" not in scope:
        return None
    route = scope.get("route")
    declared = getattr(route, "path", "")
    ends = _parts(_CONVERTOR.sub("}", declared))
    if hasattr(route, "routes"):  # a mount of what is no router of theirs, such as static files
        begins, ends = _parts(scope.get("root_path", "")), ["{path}"]
    elif ":path}" in declared:  # takes any number of segments
        begins = _parts(scope.get("root_path", ""))
    else:
        begins = _parts(path)
        begins = begins[: max(len(begins) - len(ends), 0)]
    names = {str(value): name for name, value in scope.get("path_params", {}).items() if f"{{{name}}}" not in ends}
    return "/" + "/".join([*(f"{{{names[part]}}}" if part in names else part for part in begins), *ends])


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
