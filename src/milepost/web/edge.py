"""The outermost layer: what comes before the framework.

- `POST /v1/activities` goes straight to `Intake`, what other standards send to their `Door`.
- Paths are split into their parts before they are unescaped, so that an id may hold a slash (`/v1/actors/team%2F7`).
- HEAD is answered as GET; the server sends no body.
- Every request is counted and timed by its route.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from milepost import telemetry
from milepost.web.intake import Intake
from milepost.web.request import SLASH
from milepost.web.standards.door import Door

__all__ = ["Edge"]

INTAKE_PATH = "/v1/activities"
NO_ROUTE = "none"  # whatever was asked for: its number has no bound
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Edge:
    """The ASGI application that the server runs."""

    def __init__(self, inner: ASGIApp, intake: Intake, doors: Mapping[str, Door]) -> None:
        self._inner = inner
        self._intake = intake
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        began = perf_counter()
        http = scope
        method, route = http["method"], NO_ROUTE
        status = 500
        try:
            if http["path"] == INTAKE_PATH and method == "POST":
                route = INTAKE_PATH
                status = await self._intake(http, receive, send)
                return
            if (door := self._doors.get(http["path"])) is not None:
                route = http["path"]
                status = await door(http, receive, send)
                return

            async def noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            inner = cast("Any", dict(http))
            inner["path"] = path_of(http)
            if method == "HEAD":
                inner["method"] = "GET"
            await self._inner(inner, receive, noted)
            route = inner.get("path_template", NO_ROUTE)
        finally:
            name = method if method in METHODS else "other"
            telemetry.count("http_requests", method=name, route=route, status=status)
            telemetry.observe("http_seconds", perf_counter() - began, method=name, route=route)


def path_of(scope: HTTPScope) -> str:
    """The path unescaped, with `SLASH` for a slash within a part. What has no place in a path leads to no route."""
    raw = scope.get("raw_path") or b""
    lowered = raw.lower()
    if b"%00" in lowered or b"//" in raw:
        return "/\0"
    if b"%2f" not in lowered:
        return scope["path"]
    parts = raw.partition(b"?")[0].split(b"/")
    unescaped = [unquote_to_bytes(part).decode("utf-8", "replace").replace("/", SLASH) for part in parts]
    return "/".join(unescaped)
