"""Starting: what a server answers while PostgreSQL, which has its keys and its model, was not there yet since it began.

It is up (`/healthz`), not ready and not taking (`/readyz` says what is missing), and whatever else is asked gets 503 with
`Retry-After`: nobody's key can be checked, and nothing can be accepted without a model. What an earlier process has spilled stays on
disk until then. From `become` on, the application answers.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from milepost.errors import MilepostError
from milepost.web.bodies import ClientGone, drain
from milepost.web.problems import MEDIA_TYPE, problem_of

__all__ = ["Starting"]


class Starting:
    """An ASGI application. missing: why it has not started yet, as `problem_of` and /readyz tell it."""

    def __init__(self, missing: MilepostError, primary: str) -> None:
        self.missing = missing
        self._primary = primary
        self._app: ASGIApp | None = None

    def become(self, app: ASGIApp) -> None:
        """Requests go there from now on."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
            return
        if scope["type"] != ScopeType.HTTP:
            return
        try:
            await drain(receive)
        except ClientGone:
            return
        status, media_type, body, headers = self._answer(scope["path"])
        headers = {"content-type": media_type, "content-length": str(len(body)), "cache-control": "no-store"} | headers
        start: Any = {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await send(start)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _answer(self, path: str) -> tuple[int, str, bytes, dict[str, str]]:
        """→ status, media type, body, further headers."""
        if path == "/healthz":
            return 200, "application/json", msgspec.json.encode({"status": "up"}), {}
        if path == "/readyz":
            content = {
                "ready": False,
                "taking": False,
                "queue": {"primary": self._primary, "state": "starting"},
                "missing": [{"check": "database", "detail": str(self.missing)}],
            }
            return 503, "application/json", msgspec.json.encode(content), {}
        problem = problem_of(self.missing)
        return problem.status, MEDIA_TYPE.decode(), problem.body(), dict(problem.headers)
