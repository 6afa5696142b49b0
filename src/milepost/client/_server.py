"""The server as the sender sees it: one connection that is kept, and answers sorted by what they mean for a batch.

Anything but milepost's own answer is no answer: a 200 of a captive portal acknowledges nothing, and only what milepost itself calls
invalid is. A connection that turns out to have been closed while it was idle is replaced once, at no cost: what was sent
again counts once.
"""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from milepost.client.settings import ClientSettings

__all__ = ["Answer", "Refused", "Server", "Taken", "TooMuch", "Unavailable"]

ANSWER_BYTES_MAX = 16 * 1024 * 1024
PATH = "/v1/activities"
PROBLEM = "application/problem+json"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Durable, but for the rejected ones: (index, pointer, detail), one for each."""

    rejected: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class TooMuch:
    """Not as a whole: smaller pieces may be, and a single one that may not is at fault."""

    pointer: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Whatever is sent, as long as nobody changes something: the key, the address, a proxy."""

    detail: str


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """Later. retry_after_s: not before."""

    detail: str
    retry_after_s: float | None = None


Answer = Taken | TooMuch | Refused | Unavailable


class Server:
    """For one thread; `abort` may be called from another."""

    def __init__(self, settings: ClientSettings, agent: str) -> None:
        parts = urlsplit(settings.url)
        self._https = parts.scheme == "https"
        self._address = (parts.hostname or "", parts.port)
        self._path = parts.path + PATH
        self._timeout_s = settings.timeout_s
        self._headers = {
            "Authorization": f"Bearer {settings.key}",
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Accept": "application/json",
            "User-Agent": agent,
        }
        self._connection: HTTPConnection | None = None
        self._context: ssl.SSLContext | None = None

    def post(self, body: bytes, rows: int) -> Answer:
        """Sends a batch of `rows` activities. Does not raise for the network."""
        while True:
            used_before = self._connection is not None
            try:
                response, content = self._request(body)
            except (OSError, HTTPException) as error:
                self.close()
                if used_before and isinstance(error, ConnectionError | HTTPException):  # RemoteDisconnected is both
                    continue
                return Unavailable(detail=f"{type(error).__name__}: {error}")
            return _sorted(response, content, rows)

    def close(self) -> None:
        """Safe twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Cuts a request short that is under way in another thread."""
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with suppress(OSError):  # it is not connected any more, as was wanted
                sock.shutdown(socket.SHUT_RDWR)

    def _request(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        if self._connection is None:
            made = self._connect()
            made.connect()
            made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = made
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        content = response.read(ANSWER_BYTES_MAX)
        if response.will_close or not response.isclosed():
            self.close()
        return response, content

    def _connect(self) -> HTTPConnection:
        host, port = self._address
        if not self._https:
            return HTTPConnection(host, port, timeout=self._timeout_s)
        if self._context is None:
            self._context = ssl.create_default_context()
        return HTTPSConnection(host, port, timeout=self._timeout_s, context=self._context)


def _sorted(response: HTTPResponse, content: bytes, rows: int) -> Answer:
    status = response.status
    answer = _object(content)
    is_problem = (response.headers.get_content_type() or "").lower() == PROBLEM
    detail = f"{status} {response.reason}"
    if is_problem and isinstance(answer.get("detail"), str):
        detail = f"{status} {answer['detail']}"
    match status:
        case 200 | 202:
            taken = _taken(answer, rows)
            return taken or Unavailable(detail=f"{status}, but not milepost's answer: is {PATH} of a milepost server there?")
        case 413:
            return TooMuch(pointer="", detail=detail)
        case 400 | 422 if is_problem:
            errors = answer.get("errors")
            first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
            return TooMuch(pointer=str(first.get("pointer", "")), detail=str(first.get("detail") or detail))
        case 408 | 425 | 429:
            return Unavailable(detail=detail, retry_after_s=_retry_after_s(response))
        case _ if status >= 500:
            return Unavailable(detail=detail, retry_after_s=_retry_after_s(response))
    if location := response.headers.get("Location"):
        detail += f" (to {location})"
    return Refused(detail=detail)


def _taken(answer: dict[str, Any], rows: int) -> Taken | None:
    """None where the numbers are not those of what was sent."""
    rejected: dict[int, tuple[int, str, str]] = {}
    try:
        for one in answer["rejected"]:
            index = int(one["index"])
            if not 0 <= index < rows:
                return None
            rejected.setdefault(index, (index, str(one["pointer"]), str(one["detail"])))
        if int(answer["accepted"]) + len(rejected) != rows:
            return None
    except (KeyError, TypeError, ValueError):
        return None
    return Taken(rejected=tuple(rejected.values()))


def _object(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after_s(response: HTTPResponse) -> float | None:
    """Seconds, or a date: then by the server's own clock, where it tells it."""
    given = (response.headers.get("Retry-After") or "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        until = parsedate_to_datetime(given)
        now = response.headers.get("Date")
        since = parsedate_to_datetime(now) if now else datetime.now(UTC)
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):
        return None
