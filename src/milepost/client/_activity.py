"""One logged activity as a line of JSON. Runs in the gathering thread, so that `log` need not look at what it was given.

An id may be a text, an integer or a UUID; in `data` and `content`, times, dates, UUIDs, decimals, enums and sets are turned into
what JSON has. What cannot be said in JSON, or is not what an activity can hold, is `Unsendable`, with the field's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

__all__ = ["Encoder", "Entry", "Unsendable"]

NUDGE_US_MAX = 10_000  # two threads' calls can be so far out of order
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unsendable(ValueError):
    """pointer: of the field at fault."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail


class Entry(NamedTuple):
    """What `log` puts into the queue, as a plain tuple. number and now_ns are the stamp: the key's second half, and when it was called."""

    number: int
    now_ns: int
    verb: Any
    actor: Any
    object: Any
    group: Any
    groups: Any
    measures: Any
    data: Any
    content: Any
    visibility: Any
    source: Any
    status: Any
    key: Any
    occurred_at: Any
    files: Any


class Encoder:
    """Of one process's activities, in their order. prefix: of their keys.

    Feeds sort by time, and a microsecond is long enough for two calls: who comes later gets the next one, so that a feed has one
    thread's activities in the order in which it logged them. (Not where the clock was set back: that shows.)
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._last_us = 0

    def encode(self, entry: Entry) -> bytes:
        """A line with its end. Raises `Unsendable`."""
        now_us = entry.now_ns // 1000
        if 0 <= self._last_us - now_us < NUDGE_US_MAX:
            now_us = self._last_us + 1
        self._last_us = now_us
        return _line(entry, self._prefix, now_us)


def _line(entry: Entry, prefix: str, now_us: int) -> bytes:
    try:
        return _encode(_as_dict(entry, prefix, now_us)).encode() + b"\n"
    except Unsendable:
        raise
    except UnicodeEncodeError as error:
        raise Unsendable("", f"has half of a surrogate pair: {error.object[error.start - 20 : error.end + 20]!r}") from error
    except Exception as error:
        # Whatever an app's own object does when it is looked at must not end the thread.
        raise Unsendable(_blame(entry), f"{type(error).__name__}: {error}") from error


def _as_dict(entry: Entry, prefix: str, now_us: int) -> dict[str, Any]:
    """As the API has it."""
    (number, _, verb, actor, target, group, groups, measures, data, content, visibility, source, status, key, moment,
     files) = entry  # fmt: skip
    made: dict[str, Any] = {
        "key": f"{prefix}-{number}" if key is None else _id("/key", key),
        "occurred_at": _time(now_us, moment),
        "actor": actor if type(actor) is str else _id("/actor", actor),
        "verb": _text("/verb", verb),
    }
    if target is not None:
        made["object"] = _object(target)
    if group is not None:
        made["group"] = _id("/group", group)
    if groups is not None:
        if not isinstance(groups, tuple | list | set | frozenset):
            raise Unsendable("/groups", f"must be a list of ids, not {_kind(groups)}")
        made["groups"] = [_id("/groups", one) for one in groups]
    if measures is not None:
        made["measures"] = _measures(measures)
    if data is not None:
        if not isinstance(data, Mapping):
            raise Unsendable("/data", f"must be a mapping, not {_kind(data)}")
        made["data"] = data if type(data) is dict else dict(data)
    if content is not None:
        made["content"] = content
    if files is not None:
        if not isinstance(files, Mapping):
            raise Unsendable("/files", f"must be a mapping of names to tickets, not {_kind(files)}")
        made["files"] = {name: [some] if isinstance(some, str) else list(some) for name, some in files.items()}
    for name, value in (("visibility", visibility), ("source", source), ("status", status)):
        if value is not None:
            made[name] = _text(f"/{name}", value)
    return made


def _id(pointer: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise Unsendable(pointer, f"must be a text, an integer or a UUID, not {_kind(value)}")


def _text(pointer: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Unsendable(pointer, f"must be a text, not {_kind(value)}")


def _object(target: Any) -> dict[str, str]:
    if isinstance(target, Mapping):
        if set(target) != {"kind", "id"}:
            raise Unsendable("/object", f"must have kind and id, not {', '.join(map(str, target)) or 'nothing'}")
        kind, identity = target["kind"], target["id"]
    elif isinstance(target, tuple | list) and len(target) == 2:
        kind, identity = target
    else:
        raise Unsendable("/object", f"must be (kind, id), not {_kind(target)}")
    return {"kind": _text("/object/kind", kind), "id": _id("/object/id", identity)}


def _measures(measures: Any) -> dict[str, Any]:
    if not isinstance(measures, Mapping):
        raise Unsendable("/measures", f"must be a mapping of numbers, not {_kind(measures)}")
    for name, value in measures.items():
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | None):
            raise Unsendable(f"/measures/{name}", f"must be a number, not {_kind(value)}")
    return dict(measures)


def _time(now_us: int, moment: Any) -> str:
    if moment is None:
        return (EPOCH + timedelta(microseconds=now_us)).isoformat()
    if not isinstance(moment, datetime):
        raise Unsendable("/occurred_at", f"must be a datetime, not {_kind(moment)}")
    if moment.utcoffset() is None:
        raise Unsendable("/occurred_at", "must have a time zone")
    return moment.astimezone(UTC).isoformat()


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _plain(value: Any) -> Any:
    """What JSON has for a value that it does not know."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{_kind(value)} has no form in JSON")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def _blame(entry: Entry) -> str:
    """Which part it is that cannot be encoded."""
    for name in ("data", "measures", "content", "files"):
        try:
            _encode(getattr(entry, name))
        except Exception:
            return f"/{name}"
    return ""
