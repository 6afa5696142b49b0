"""Segment's HTTP tracking API: `/v1/batch` and one path a kind of message, as its SDKs send them.

The answer is 200 `{"success": true}` once everything is durable, also for messages that could not be mapped: SDKs do not read more,
and would give up a whole batch for one. Those messages are kept as dead letters, durable before the answer, and named in the
answer beside `success` for whoever looks. Retries repeat `messageId` and `timestamp`, and so count once.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from milepost.access.keys import Principal
from milepost.errors import FieldError, InvalidInput
from milepost.intake.dead_letters import set_aside_raws
from milepost.intake.fault import Fault
from milepost.mapping.standards import STANDARDS
from milepost.web.bodies import decode_object
from milepost.web.problems import Problem
from milepost.web.services import Services
from milepost.web.standards.door import Answer, Door, Headers, Rows
from milepost.web.standards.taking import Refused, Taken, raw_of

__all__ = ["Segment"]


_SUCCESS = msgspec.json.encode({"success": True})


class Segment(Door):
    """kind: of the one message that the body is; None: the body is a batch, whose messages say theirs."""

    standard = STANDARDS["segment"]

    def __init__(self, services: Services, kind: str | None = None) -> None:
        super().__init__(services)
        self._kind = kind

    def check(self, headers: Headers) -> None:
        """Its SDKs send no header that could be wrong, and its browsers' JSON comes as text/plain."""

    def read(self, headers: Headers, body: bytes) -> Rows:
        whole = _decoded(body)
        received_at = datetime.now(UTC).isoformat()
        if self._kind is not None:
            return [whole | {"type": self._kind, "receivedAt": received_at}]
        batch = whole.get("batch")
        if not isinstance(batch, list):
            raise InvalidInput('The body is not {"batch": […]}.', errors=(FieldError("/batch", "expected an array"),))
        context = whole.get("context")
        return [_completed(one, context, received_at) if isinstance(one, dict) else one for one in batch]

    def done(self, headers: Headers, taken: Taken, receipt: str | None) -> Answer:
        if not taken.refused:
            return Answer(status=200, body=_SUCCESS)
        return Answer(status=200, body=msgspec.json.encode({"success": True, "rejected": taken.refused}))

    def failed(self, headers: Headers, problem: Problem) -> Answer:
        """A problem like everywhere, with the two members that Segment's SDKs print."""
        shown = msgspec.json.decode(problem.body())
        shown |= {"code": problem.kind.slug or str(problem.status), "message": problem.detail}
        return Answer(
            status=problem.status,
            body=msgspec.json.encode(shown),
            media_type="application/problem+json",
            headers=problem.headers,
        )

    async def keep(self, principal: Principal, rows: Rows, taken: Taken, now: datetime) -> None:
        raws = [(raw_of(rows[one.index]), _fault(one)) for one in _first_of_each(taken.refused)]
        async with self.services.db.transaction("write", tenant_id=principal.tenant_id) as conn:
            await set_aside_raws(
                conn, principal.tenant_id, raws, via=self.standard.name, model=taken.model_version, received_at=now
            )


def _fault(one: Refused) -> Fault:
    return Fault(
        error_class="mapping",
        error=f"{one.pointer or 'the message'}: {one.detail}",
        facts={"errors": [{"pointer": one.pointer, "detail": one.detail}]},
    )


def _decoded(body: bytes) -> dict[str, Any]:
    """The body as JSON. Half a surrogate pair, which msgspec refuses, is one message's mistake and not all of theirs."""
    try:
        return decode_object(body, each_alone=True)
    except InvalidInput:
        if b"\\ud" not in body.lower():
            raise
        try:
            found = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise
        return found


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python would read."""
    raise ValueError(name)


def _completed(message: dict[str, Any], context: Any, received_at: str) -> dict[str, Any]:
    """A message with what its batch says for all: the context."""
    found = {**message, "receivedAt": received_at}
    if isinstance(context, dict):
        own = message.get("context")
        found["context"] = {**context, **(own if isinstance(own, dict) else {})}
    return found


def _first_of_each(refused: list[Refused]) -> list[Refused]:
    """A message with several mistakes is one letter."""
    return list({one.index: one for one in reversed(refused)}.values())[::-1]
