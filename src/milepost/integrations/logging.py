"""A `logging.Handler`: log records as activities, with the context in which they were made.

    logging.getLogger().addHandler(MilepostHandler(milepost, level=logging.WARNING, extra=["order_id"]))

`object` is the logger, `status` the level in lower case, `data` has the message, the place and the exception, each bounded. A call can say
more: `log.info("paid", extra={"milepost": {"verb": "pay", "object": {"kind": "order", "id": "17"}}})`.

It never raises, never blocks (it takes no lock, and a client only enqueues) and never feeds on itself: what milepost's own loggers say,
and what any logger says in a thread of the client or while a record is being sent, is left out.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from milepost.integrations._text import MASK, is_secret, text
from milepost.integrations.context import Client, InContext

__all__ = ["MilepostHandler"]

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "milepost"}
_MESSAGE_MAX = 2_000  # characters
_EXCEPTION_MAX = 8_000
_PLACE_MAX = 256
_THREADS = "milepost"  # how the names of the client's threads begin


class MilepostHandler(logging.Handler):
    """extra: the names of the fields given as `extra=` that go to `data`; "all" for whichever come. Those named like secrets are masked.

    actor: who acts where the context knows nobody; none for the client's own.
    """

    def __init__(
        self,
        client: Client | InContext,
        *,
        level: int | str = logging.INFO,
        verb: str = "log",
        actor: str | None = None,
        extra: Collection[str] | Literal["all"] = (),
        object_kind: str = "logger",
    ) -> None:
        super().__init__(level)
        if isinstance(extra, str) and extra != "all":
            raise ValueError(f'extra: a list of names, or "all", not the text {extra!r}')
        self._client = InContext.of(client)
        self._verb, self._actor, self._extra, self._kind = verb, actor, extra, object_kind
        self._busy = threading.local()

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]  # as Python 3.12 has it
        """Without the lock that a handler takes: the client needs none, and a thread that holds it could be a forked one's parent's."""
        found: bool | logging.LogRecord = self.filter(record)
        if isinstance(found, logging.LogRecord):
            record = found
        if found:
            self.emit(record)
        return found

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == "milepost" or threading.current_thread().name.startswith(_THREADS):
            return
        if getattr(self._busy, "now", False):
            return
        self._busy.now = True
        try:
            self._send(record)
        except Exception:
            self.handleError(record)  # logging's own way: a word on stderr, if `logging.raiseExceptions` is on
        finally:
            self._busy.now = False

    def _send(self, record: logging.LogRecord) -> None:
        activity: dict[str, Any] = {
            "verb": self._verb,
            "object": {"kind": self._kind, "id": text(record.name, _PLACE_MAX)},
            "status": record.levelname.lower(),
            "occurred_at": datetime.fromtimestamp(record.created, UTC),
        }
        if self._actor is not None:
            who, _ = self._client.seen()
            activity["actor"] = who or self._actor
        said = getattr(record, "milepost", None)
        given: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        data = {**self._data_of(record), **(given.get("data") or {})}
        self._client.log(**{**activity, **given, "data": data})

    def _data_of(self, record: logging.LogRecord) -> dict[str, Any]:
        data: dict[str, Any] = {
            "message": text(record.getMessage(), _MESSAGE_MAX),
            "place": text(f"{record.pathname}:{record.lineno} {record.funcName}", _PLACE_MAX),
        }
        if record.exc_info and record.exc_info[0] is not None:
            data["error"] = record.exc_info[0].__name__
            whole = "".join(traceback.format_exception(*record.exc_info))
            data["exception"] = text(whole[-_EXCEPTION_MAX:], _EXCEPTION_MAX)  # its end says what happened
        for name, value in vars(record).items():
            if name not in _OWN and (self._extra == "all" or name in self._extra):
                plain = value if value is None or isinstance(value, bool | int | float) else text(str(value), _MESSAGE_MAX)
                data[name] = MASK if is_secret(name) else plain
        return data
