"""Who acts, and in which request, task and trace: known while an activity is logged, and attached to it.

`InContext` is a client whose activities carry the context. A middleware opens one for each request; `context` adds to it:

    milepost = InContext(Milepost())
    with context(actor="user-17", data={"import": "2026-03"}):
        milepost.log("upload", object={"kind": "file", "id": "f-8"})

Each field goes to `data` under the name in `FIELDS`; `attach` gives it another one, or turns it off with None. What the activity says
of itself wins over the context, and an inner context over an outer one. A context belongs to its thread and its asyncio task, and
passes on to tasks that are made in it.

Logging never raises: where the context cannot be read (an `actor` function that fails), the activity goes without it, and the logger
`milepost.integrations` warns.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from milepost.integrations._trace import span_ids

__all__ = [
    "FIELDS",
    "Actor",
    "Client",
    "Context",
    "InContext",
    "bound",
    "context",
    "current",
    "enter",
    "identify",
    "leave",
    "names_of",
]

_log = logging.getLogger("milepost.integrations")

Actor = str | Callable[[], str | None] | None

FIELDS: Mapping[str, str] = {
    name: name
    for name in ("request_id", "trace_id", "span_id", "method", "path", "route", "ip", "user_agent", "task", "task_id")
}


class Client(Protocol):
    """What an integration needs of a client. `log` only enqueues, and never raises; `flush` says whether all is delivered."""

    def log(
        self,
        verb: str,
        actor: str,
        *,
        object: Any = None,
        group: str | None = None,
        groups: Sequence[str] | None = None,
        measures: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        content: Any = None,
        visibility: Any = None,
        source: str | None = None,
        status: str | None = None,
        key: str | None = None,
        occurred_at: datetime | None = None,
    ) -> None: ...

    def flush(self, timeout: float | None = None) -> bool: ...


@dataclass(kw_only=True, slots=True)
class Context:
    """actor: an id, or a function that is asked when an activity is logged (a session's user is known late, and may cost a query).

    fields: by the names in FIELDS. late: fields that are asked for when an activity is logged, such as the route.
    data: whatever else goes to `data`, as it is.
    """

    actor: Actor = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    late: Callable[[], Mapping[str, Any]] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def who(self) -> str | None:
        return self.actor() if callable(self.actor) else self.actor

    def known(self) -> dict[str, Any]:
        """Every field that has a value now. The span that runs now is nearer than the one that the request came from."""
        return {**self.fields, **(self.late() if self.late else {}), **span_ids()}


_current: ContextVar[Context] = ContextVar("milepost_context")


def current() -> Context:
    """The innermost context of this thread and task; an empty one outside of all."""
    return _current.get(None) or Context()


def identify(actor: Actor) -> None:
    """Says who acts from here on in the innermost context, such as a request whose user is found by its own code.

    It reaches what runs in other threads for the same request, as a framework's dependencies may do. Outside of all contexts it holds for
    the rest of this thread or task.
    """
    here = _current.get(None)
    if here is None:
        _current.set(Context(actor=actor))
    else:
        here.actor = actor


def enter(inner: Context) -> Token[Context]:
    """This context and no other, until `leave` in the same thread and task: for a framework that tells of an end in another call."""
    return _current.set(inner)


def leave(token: Token[Context]) -> None:
    _current.reset(token)


@contextmanager
def bound(inner: Context) -> Iterator[Context]:
    """This context and no other: what a middleware opens."""
    token = enter(inner)
    try:
        yield inner
    finally:
        leave(token)


@contextmanager
def context(actor: Actor = None, data: Mapping[str, Any] | None = None) -> Iterator[Context]:
    """Adds to the context around it: another actor if one is given, and more data."""
    outer = current()
    inner = Context(
        actor=outer.actor if actor is None else actor,
        fields=outer.fields,
        late=outer.late,
        data={**outer.data, **(data or {})},
    )
    with bound(inner):
        yield inner


def names_of(attach: Mapping[str, str | None] | None) -> dict[str, str]:
    """The fields that are attached, with their names in `data`. Raises ValueError for a field that there is not."""
    changed = dict(attach or {})
    for name in changed:
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, 1)
            raise ValueError(f"attach: there is no field {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return {name: given for name in FIELDS if (given := changed.get(name, FIELDS[name])) is not None}


class InContext:
    """A client whose activities carry the context. actor: acts where nobody else is known, such as in a shell or a timer."""

    def __init__(self, client: Client, *, attach: Mapping[str, str | None] | None = None, actor: str = "system") -> None:
        self.client = client
        self.names = names_of(attach)
        self.actor = actor

    @classmethod
    def of(cls, client: Client | InContext) -> InContext:
        return client if isinstance(client, InContext) else cls(client)

    def log(self, verb: str, actor: str | None = None, *, data: Mapping[str, Any] | None = None, **more: Any) -> None:
        """As `Milepost.log`, with the actor and the data of the context where the caller gives none. Never raises."""
        who, around = self.seen()
        self.client.log(verb, actor or who or self.actor, data={**around, **(data or {})} or None, **more)

    def flush(self, timeout: float | None = None) -> bool:
        return self.client.flush(timeout)

    def seen(self) -> tuple[str | None, dict[str, Any]]:
        """Who acts, and what would be attached now. Never raises."""
        now = current()
        fields = {self.names[name]: value for name, value in self._known(now).items()}
        return _who(now), {**fields, **now.data}

    def portable(self) -> dict[str, Any]:
        """The context now, as JSON that another process makes a `Context` of: without what is turned off. Never raises."""
        now = current()
        plain: dict[str, Any] = json.loads(json.dumps({"fields": self._known(now), "data": dict(now.data)}, default=str))
        return {"actor": _who(now), **plain}

    def _known(self, now: Context) -> dict[str, Any]:
        try:
            known = now.known()
        except Exception:
            _log.warning("this context cannot be read", exc_info=True)
            known = dict(now.fields)
        return {name: value for name, value in known.items() if name in self.names and value is not None}


def _who(now: Context) -> str | None:
    try:
        return now.who()
    except Exception:
        _log.warning("the actor of this context cannot be told", exc_info=True)
        return None
