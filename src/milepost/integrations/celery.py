"""Celery's tasks as activities: published, started, succeeded, failed, retried; with the context of whoever published them.

    tasks = MilepostCelery(milepost)      # in the module that makes the Celery app, so that publishers and workers both have it
    tasks.connect()

Each is an activity `task` whose `status` says which of them it is: `object` is the task's id, `data.task` its name, `data.queue` where it
went, `data.retries`, `data.error` the class of an exception; `measures.duration_ms` what a run took. Arguments and results stay where
they are: they may hold anything.

The context travels in a message header, so what a task does carries the user and the request that caused it, in a retry and in tasks
that it publishes, too. A pool process delivers what it has when it ends (`worker_process_shutdown`); one that is killed leaves it to the
client's spool. Nothing here raises into a task.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal, get_args

from celery import signals

from milepost.integrations._text import text
from milepost.integrations.context import Client, Context, InContext, current, enter, leave

__all__ = ["Event", "MilepostCelery"]

_log = logging.getLogger("milepost.integrations")

Event = Literal["published", "started", "succeeded", "failed", "retried"]
HEADER = "milepost"
_TEXT_MAX = 256


@dataclass(kw_only=True, slots=True)
class _Run:
    """A task that runs in this process."""

    began: float
    token: Token[Context]


class MilepostCelery:
    """verbs: another verb for an event, or None to leave it out. flush_s: how long a pool process that ends may take to deliver.

    measure: the name of the duration, None to leave it out. Raises ValueError for an event that there is not.
    """

    def __init__(
        self,
        client: Client | InContext,
        *,
        verb: str = "task",
        verbs: Mapping[Event, str | None] | None = None,
        measure: str | None = "duration_ms",
        object_kind: str = "task",
        flush_s: float = 5.0,
    ) -> None:
        events: tuple[Event, ...] = get_args(Event)
        for event in verbs or {}:
            if event not in events:
                raise ValueError(f"verbs: there is no event {event!r}, but {', '.join(events)}")
        self._verbs: dict[Event, str | None] = {**dict.fromkeys(events, verb), **(verbs or {})}
        self._client = InContext.of(client)
        self._measure, self._kind, self._flush_s = measure, object_kind, flush_s
        self._runs: dict[str, _Run] = {}

    def connect(self) -> None:
        """From now on, in this process and in those that it forks. Twice is as once."""
        for signal, receiver in self._receivers():
            signal.connect(receiver, weak=False, dispatch_uid=f"milepost-{id(self)}")

    def disconnect(self) -> None:
        for signal, _ in self._receivers():
            signal.disconnect(dispatch_uid=f"milepost-{id(self)}")

    def _receivers(self) -> list[tuple[Any, Any]]:
        return [
            (signals.before_task_publish, self._before_publish),
            (signals.after_task_publish, self._published),
            (signals.task_prerun, self._started),
            (signals.task_success, self._succeeded),
            (signals.task_failure, self._failed),
            (signals.task_retry, self._retried),
            (signals.task_postrun, self._ended),
            (signals.worker_process_shutdown, self._process_ends),
        ]

    # ── Where a task is published ──

    def _before_publish(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers is not None:
            headers[HEADER] = self._client.portable()

    def _published(self, sender: str, headers: Mapping[str, Any], routing_key: str = "", **_: Any) -> None:
        self._log("published", str(headers.get("id")), sender, queue=routing_key, retries=headers.get("retries"))

    # ── Where it runs ──

    def _started(self, task_id: str, task: Any, **_: Any) -> None:
        sent = (task.request.headers or {}).get(HEADER)
        if isinstance(sent, Mapping):
            around = Context(actor=sent.get("actor"), fields=sent.get("fields") or {}, data=sent.get("data") or {})
        else:
            around = current() if task.request.is_eager else Context()
        inner = replace(around, fields={**around.fields, "task": task.name, "task_id": task_id})
        self._runs[task_id] = _Run(began=perf_counter(), token=enter(inner))
        self._log("started", task_id, task.name, retries=task.request.retries)

    def _succeeded(self, sender: Any, **_: Any) -> None:
        self._log("succeeded", sender.request.id, sender.name, retries=sender.request.retries)

    def _failed(self, sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
        self._log("failed", task_id, sender.name, error=type(exception).__name__)

    def _retried(self, sender: Any, request: Any, reason: Any, **_: Any) -> None:
        cause = getattr(reason, "exc", None)
        error = type(cause).__name__ if isinstance(cause, BaseException) else None
        self._log("retried", request.id, sender.name, retries=request.retries, error=error)

    def _ended(self, task_id: str, **_: Any) -> None:
        run = self._runs.pop(task_id, None)
        if run is not None:
            leave(run.token)

    def _process_ends(self, **_: Any) -> None:
        if not self._client.flush(self._flush_s):
            _log.warning(
                "not everything was delivered in %s s; the client's spool has the rest, if there is one", self._flush_s
            )

    def _log(self, event: Event, task_id: str, name: str, **facts: Any) -> None:
        verb = self._verbs[event]
        if verb is None:
            return
        run = self._runs.get(task_id) if event not in ("published", "started") else None
        self._client.log(
            verb,
            object={"kind": self._kind, "id": task_id},
            status=event,
            measures={self._measure: round((perf_counter() - run.began) * 1000)} if run and self._measure else None,
            data={
                "task": text(name, _TEXT_MAX),
                "task_id": task_id,
                **{fact: value for fact, value in facts.items() if value is not None},
            },
        )
