"""The middleware: the context of each request, and requests as activities. Sync and async alike; put it first.

The user is asked for when an activity is logged: the session's, or what `ACTOR` says. In an async view that is the one that
`await request.auser()` has fetched, since the session may not be read from there; without it the activity has `SYSTEM_ACTOR`.

A response counts when it is made; of a streaming one that is when it begins. An exception that Django turned into a 500 is named.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponseBase

from milepost.integrations._request import request_fields, user_id
from milepost.integrations.context import Context, bound
from milepost.integrations.django import conf
from milepost.integrations.request_activity import Started

__all__ = ["MilepostMiddleware", "actor_of"]

_log = logging.getLogger("milepost.integrations")

_ERROR = "_milepost_error"


class MilepostMiddleware:
    """Reads `settings.MILEPOST`."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        with bound(_context(request)):
            started = _start(request)
            response: HttpResponseBase = self._get_response(request)
            _finish(started, request, response)
            return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        with bound(_context(request)):
            started = _start(request)
            response: HttpResponseBase = await self._get_response(request)
            if started is not None:
                await _fetch_user(request)
            _finish(started, request, response)
            return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Only remembers it."""
        setattr(request, _ERROR, exception)


def _context(request: HttpRequest) -> Context:
    told = conf.settings()
    return Context(
        actor=partial(told.actor or actor_of, request),
        fields=request_fields(
            method=request.method or "",
            path=request.path,
            peer=request.META.get("REMOTE_ADDR"),
            header=request.headers.get,
            proxies=told.trusted_proxies,
        ),
        late=lambda: {"route": _route(request)},
    )


def _start(request: HttpRequest) -> Started | None:
    kept = conf.settings().requests
    return Started(conf.client(), kept) if kept and kept.wants(request.method or "", request.path) else None


def _finish(started: Started | None, request: HttpRequest, response: HttpResponseBase) -> None:
    if started is not None:
        started.done(response.status_code, route=_route(request), error=getattr(request, _ERROR, None))


def _route(request: HttpRequest) -> str | None:
    match = request.resolver_match
    return f"/{match.route}" if match is not None else None


def actor_of(request: HttpRequest) -> str | None:
    """The id of the session's user, as text; None for an anonymous one, and where it cannot be read from here."""
    cached = getattr(request, "_cached_user", None) or getattr(request, "_acached_user", None)
    if cached is None and _in_event_loop():
        return None
    return user_id(cached if cached is not None else getattr(request, "user", None))


async def _fetch_user(request: HttpRequest) -> None:
    """For `actor_of`. The response is made: whatever fails here must not take it back."""
    try:
        if hasattr(request, "auser"):
            await request.auser()
        elif hasattr(request, "user"):  # Django 4.2
            await sync_to_async(bool)(request.user)
    except Exception:
        _log.warning("the user of a request cannot be told", exc_info=True)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
