"""Requests as activities, where one wants them: which ones, under which verb, with status and duration.

One activity a request, when its response is through: `object` is the route (`{"kind": "route", "id": "/orders/{id}"}`, none where no
route matched), `status` the code as text, `measures.duration_ms` what it took, `data.error` the class of an exception that was not
handled. Declare the verb, and the measure, in the model.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import translate
from time import perf_counter
from typing import Any

from milepost.integrations.context import InContext

__all__ = ["RequestActivity", "Started"]

_log = logging.getLogger("milepost.integrations")

_STATUS = re.compile(r"[1-5](xx|\d\d)")


@dataclass(frozen=True, kw_only=True)
class RequestActivity:
    """paths, skip: patterns with `*` and `?`; a request must match one of the first and none of the second.

    methods: none for all. statuses: codes and classes, `404` or `5xx`; none for all. slower_than_ms: only requests that took longer.
    measure: the name of the duration, None to leave it out. anonymous: the actor where nobody is signed in.
    Raises ValueError for a status that is none.
    """

    verb: str = "request"
    paths: Collection[str] = ("*",)
    skip: Collection[str] = ()
    methods: Collection[str] = ()
    statuses: Collection[str | int] = ()
    slower_than_ms: float = 0
    measure: str | None = "duration_ms"
    object_kind: str = "route"
    anonymous: str = "anonymous"
    _take: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _leave: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for status in self.statuses:
            if not _STATUS.fullmatch(str(status)):
                raise ValueError(f"statuses: {status!r} is neither a code, such as 404, nor a class, such as '5xx'")
        for name in ("paths", "skip", "methods", "statuses"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name}: a list of texts, not the text {getattr(self, name)!r}")
        object.__setattr__(self, "_take", _any_of(self.paths))
        object.__setattr__(self, "_leave", _any_of(self.skip))

    def wants(self, method: str, path: str) -> bool:
        """Can such a request become an activity?"""
        if self.methods and method not in self.methods:
            return False
        return self._take.fullmatch(path) is not None and self._leave.fullmatch(path) is None

    def counts(self, status: int, duration_ms: float) -> bool:
        wanted = {str(one) for one in self.statuses}
        return (not wanted or str(status) in wanted or f"{status // 100}xx" in wanted) and duration_ms >= self.slower_than_ms


def _any_of(patterns: Collection[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns) or r"(?!)", re.DOTALL)


class Started:
    """A request under way, and its clock."""

    __slots__ = ("_at", "_client", "_clock", "_settings")

    def __init__(self, client: InContext, settings: RequestActivity) -> None:
        self._client, self._settings = client, settings
        self._at, self._clock = datetime.now(UTC), perf_counter()

    def done(self, status: int, *, route: str | None, error: BaseException | None = None) -> None:
        """Logs it if it counts, within its context. Never raises."""
        try:
            duration_ms = (perf_counter() - self._clock) * 1000
            if self._settings.counts(status, duration_ms):
                self._send(status, round(duration_ms), route, error)
        except Exception:
            _log.warning("a request could not be logged", exc_info=True)

    def _send(self, status: int, duration_ms: int, route: str | None, error: BaseException | None) -> None:
        kept, client = self._settings, self._client
        who, _ = client.seen()
        more: dict[str, Any] = {}
        if kept.measure is not None:
            more["measures"] = {kept.measure: duration_ms}
        if route:
            more["object"] = {"kind": kept.object_kind, "id": route}
        client.log(
            kept.verb,
            who or kept.anonymous,
            data={"error": type(error).__name__} if error is not None else None,
            status=str(status),
            occurred_at=self._at,
            **more,
        )
