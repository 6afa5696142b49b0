"""The way in that all standards share, as bare ASGI beside `POST /v1/activities`: same keys, bounds, acceptor and queue.

A subclass says how a request's body reads (`read`) and what is answered (`done`, `failed`). In between: whose key, the body
within its bounds, mapped and accepted in the worker thread where that takes long, then made durable, commands before activities.
(Their order among each other does not matter to any number: memberships hold as of their time, whatever is loaded first.)

Answers only after all of it is durable. A retry of a request of which only a part had become durable counts nothing twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, ClassVar

from litestar.types import HTTPScope, Receive, Send

from milepost import telemetry
from milepost.access.keys import Principal
from milepost.errors import FieldError, InvalidInput, Unauthorized
from milepost.intake.accept import Acceptor
from milepost.intake.mapped import Mapped
from milepost.intake.queue import Kind
from milepost.mapping.standards import Standard
from milepost.postgres import answered
from milepost.web.bodies import ClientGone, decompress
from milepost.web.gate import Passage
from milepost.web.intake import CLIENT_GONE, COMPRESSED_IN_THREAD_BYTES, IN_THREAD_BYTES
from milepost.web.models import Served
from milepost.web.problems import KINDS, Problem, problem_of
from milepost.web.request import authorize
from milepost.web.services import Services
from milepost.web.standards.taking import Taken, take

__all__ = ["Answer", "Door", "Headers"]

KEEP_S = 2.0  # how long a sender waits for PostgreSQL to keep what was refused
MAPPING_FACTOR = 4  # a message costs up to so many times an activity: 30 to 60 µs

Headers = Mapping[bytes, bytes]
Rows = Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Door(ABC):
    """One route. → the status that was answered."""

    standard: ClassVar[Standard]

    def __init__(self, services: Services) -> None:
        self.services = services
        self._made: tuple[Served, Mapped] | None = None

    @abstractmethod
    def check(self, headers: Headers) -> None:
        """Raises what the headers alone are refused for, before the body is read."""

    @abstractmethod
    def read(self, headers: Headers, body: bytes) -> Rows:
        """The messages of a decompressed body. Raises `InvalidInput`. In either thread."""

    @abstractmethod
    def done(self, headers: Headers, taken: Taken, receipt: str | None) -> Answer:
        """The answer once all is durable. receipt: of the activities, or of the commands where there are only those."""

    @abstractmethod
    def failed(self, headers: Headers, problem: Problem) -> Answer:
        """The answer where nothing, or not all, was taken."""

    @abstractmethod
    async def keep(self, principal: Principal, rows: Rows, taken: Taken, now: datetime) -> None:
        """Keep what was refused, where its sender does not listen."""

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> int:
        headers = dict(scope["headers"])
        try:
            if scope["method"] != "POST":
                answer = self.failed(headers, _method_not_allowed(scope["method"]))
            else:
                answer = self.done(headers, *await self._take(headers, receive))
        except ClientGone:
            telemetry.count("intake_requests", outcome="gone")
            return CLIENT_GONE
        except Exception as error:
            problem = problem_of(error)
            if problem.kind.slug == "not-ready":
                self.services.models.refresh()
            answer = self.failed(headers, problem)
        telemetry.count("intake_requests", outcome="taken" if answer.status < 300 else str(answer.status))
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.media_type.encode()),
                    (b"content-length", str(len(answer.body)).encode()),
                    *((name.encode(), value.encode()) for name, value in answer.headers.items()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})
        return answer.status

    async def _take(self, headers: Headers, receive: Receive) -> tuple[Taken, str | None]:
        services = self.services
        principal = await authorize(services, _bearer(headers.get(b"authorization", b"").decode("latin-1")), "write")
        self.check(headers)
        async with services.gate.passage(principal, headers, receive) as passage:
            began = perf_counter()
            telemetry.count("intake_bytes", len(passage.raw))
            now = datetime.now(UTC)
            rows, taken = await self._work(principal, headers, passage, now)
            receipt = await self._enqueue(principal, taken, passage)
            if taken.refused:
                await answered(
                    self.keep(principal, rows, taken, now), KEEP_S
                )  # what was taken is recognised when it comes again
            telemetry.observe("receipt_seconds", perf_counter() - began)
        telemetry.count("intake_accepted", taken.activities)
        telemetry.count("intake_rejected", len(taken.refused))
        for outcome, number in (
            ("taken", taken.messages - len(taken.refused) - taken.dropped),
            ("refused", len(taken.refused)),
            ("dropped", taken.dropped),
        ):
            telemetry.count("mapped_messages", number, standard=self.standard.name, outcome=outcome)
        return taken, receipt

    async def _work(self, principal: Principal, headers: Headers, passage: Passage, now: datetime) -> tuple[Rows, Taken]:
        served = self.services.models.current
        mapped = self._mapped(served)
        encoding, raw = headers.get(b"content-encoding", b""), passage.raw

        def work(acceptor: Acceptor) -> tuple[Rows, Taken]:
            try:
                rows = self.read(headers, decompress(raw, encoding))
            except RecursionError as error:
                detail = "nested too deeply"
                raise InvalidInput("The body is nested too deeply.", errors=(FieldError("", detail),)) from error
            return rows, take(mapped, acceptor, principal.tenant_id, rows, now)

        large = len(raw) > (COMPRESSED_IN_THREAD_BYTES if encoding else IN_THREAD_BYTES // MAPPING_FACTOR)
        return await passage.work(work, served, large=large)

    async def _enqueue(self, principal: Principal, taken: Taken, passage: Passage) -> str | None:
        batches = []
        if taken.commands:
            batches.append((Kind.COMMAND, len(taken.commands), b"[" + b",".join(taken.commands) + b"]"))
        if taken.accepted is not None and taken.accepted.rows:
            batches.append((Kind.ACTIVITIES, taken.accepted.rows, taken.accepted.payload))
        if batches:
            await passage.count(sum(rows for _, rows, _ in batches), sum(len(payload) for *_, payload in batches))
        receipt = None
        for kind, rows, payload in batches:
            receipt = await self.services.queue.enqueue(
                tenant_id=principal.tenant_id,
                lane=principal.lane,
                kind=kind,
                model=taken.model_version,
                rows=rows,
                payload=payload,
            )
        return None if receipt is None else self.services.receipts.sign(principal.tenant_id, receipt.batch_id)

    def _mapped(self, served: Served) -> Mapped:
        """Compiled once for each model."""
        made = self._made
        if made is None or made[0] is not served:
            made = self._made = (served, Mapped(self.standard, served.model))
        return made[1]


def _bearer(authorization: str) -> str:
    """A key that came as a user name (Basic), as a bearer token."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        name, _, _ = b64decode(given.strip(), validate=True).decode("latin-1").partition(":")
    except (NotBase64, ValueError) as error:
        raise Unauthorized("The header Authorization is not Basic with base64.") from error
    return f"Bearer {name}"


def _method_not_allowed(method: str) -> Problem:
    kind = KINDS["method-not-allowed"]
    return Problem(kind=kind, detail=f"This route takes POST, not {method}.", headers={"allow": "POST"})
