"""`POST /v1/activities`: the hot path, as bare ASGI.

A request's work is: whose key, read the body, accept, one durable batch, answer. It runs before the framework and reads
the body raw: a request of one activity costs 0.37 ms of CPU in all, through the framework's raw route it was 0.42 and
through a handler 0.50 (one of 100: 1.65 and 1.76; two cores, PostgreSQL beside it). What would hold the event loop for
more than a few milliseconds, a large or strongly compressed body, is the worker thread's. Either is done by tenants in turn (`gate`).

Answers: 202 once the accepted ones are durable, 200 where `Prefer: wait` asked to wait until they are loaded. Rejected
ones are named by index, and do not hold up the others. Errors are problems like everywhere else.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from time import perf_counter
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.types import HTTPScope, Receive, Send

from milepost import telemetry
from milepost.access.keys import Principal
from milepost.errors import FieldError, InvalidInput
from milepost.intake.accept import Accepted, Acceptor, Rejected
from milepost.intake.queue import Idempotency, Kind
from milepost.web.bodies import ClientGone, decompress
from milepost.web.gate import Passage
from milepost.web.parameters import refuse_wrong
from milepost.web.problems import MEDIA_TYPE, problem_of
from milepost.web.request import authorize
from milepost.web.services import Services

__all__ = ["Intake", "Preferences", "preferences"]

WAIT_S_MAX = 30.0
IN_PIECES_BYTES = IN_THREAD_BYTES = 128 * 1024  # about 5 ms of accepting
COMPRESSED_IN_THREAD_BYTES = 8 * 1024  # may be a thousand times as much inside
KEY_CHARACTERS_MAX = 255
CLIENT_GONE = 499  # never sent; for the counters

NDJSON = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines")
WANTED = frozenset({b"authorization", b"content-length", b"content-type", b"content-encoding", b"prefer", b"idempotency-key"})
WAIT = re.compile(r'wait="?(\d{1,9})"?', re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What the header Prefer (RFC 7240) asks for. wait_s: None: it does not ask to wait."""

    wait_s: float | None = None
    representation: bool = False

    def applied(self) -> str:
        """The header Preference-Applied."""
        wait = [] if self.wait_s is None else [f"wait={self.wait_s:g}"]
        return ", ".join(wait + (["return=representation"] if self.representation else []))


class Answer(msgspec.Struct, omit_defaults=True):
    """Of a request that was understood. ids: of the accepted ones, where they were asked for."""

    accepted: int
    rejected: tuple[Rejected, ...]
    receipt: str | None
    loaded: int | msgspec.UnsetType = msgspec.UNSET
    duplicates: int | msgspec.UnsetType = msgspec.UNSET
    set_aside: int | msgspec.UnsetType = msgspec.UNSET
    ids: list[str] | msgspec.UnsetType = msgspec.UNSET


class Intake:
    """The route as an ASGI application. → the status that was answered."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> int:
        headers = {name: value for name, value in scope["headers"] if name in WANTED}
        extra: list[tuple[bytes, bytes]] = []
        media_type = b"application/json"
        try:
            if scope["query_string"]:
                refuse_wrong(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True), {})
            status, answer, said = await self._take(headers, receive)
            body = self._encode(answer)
            extra = [(name.encode(), value.encode()) for name, value in said.items()]
        except ClientGone:
            telemetry.count("intake_requests", outcome="gone")
            return CLIENT_GONE
        except Exception as error:
            problem = problem_of(error)
            status, body, media_type = problem.status, problem.body(), MEDIA_TYPE
            extra = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        telemetry.count("intake_requests", outcome="taken" if status < 300 else str(status))
        length = str(len(body)).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", media_type), (b"content-length", length), *extra],
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return status

    async def _take(self, headers: Mapping[bytes, bytes], receive: Receive) -> tuple[int, Answer, Mapping[str, str]]:
        """→ status, answer, headers."""
        services = self._services
        principal = await authorize(services, headers.get(b"authorization", b"").decode("latin-1"), "write")
        prefer = preferences(headers.get(b"prefer"))
        async with services.gate.passage(principal, headers, receive) as passage:
            began = perf_counter()
            telemetry.count("intake_bytes", len(passage.raw))
            accepted, body = await self._accept(principal, headers, passage)
            answer = Answer(accepted=accepted.rows, rejected=accepted.rejected, receipt=None)
            if prefer.representation or prefer.wait_s is not None:
                answer.ids = [str(UUID(int=number)) for number in accepted.ids]
            batch_id = None
            if accepted.rows:
                await passage.count(accepted.rows, len(accepted.payload))
                batch_id, answer = await self._enqueue(principal, headers, accepted, answer, body, passage)
            telemetry.observe("receipt_seconds", perf_counter() - began)
        telemetry.count("intake_accepted", accepted.rows)
        telemetry.count("intake_rejected", len(accepted.rejected))
        said = dict(passage.headers)
        if applied := prefer.applied():
            said["preference-applied"] = applied
        if prefer.wait_s is None:
            return 202, answer, said
        answer.loaded = answer.duplicates = 0
        if batch_id is not None:
            loaded = await services.queue.outcome(batch_id, prefer.wait_s)
            result = (loaded and loaded.result) or {}
            answer.set_aside = result.get("set_aside", msgspec.UNSET)
            if loaded is None or result.get("status") == 500:  # not yet, or set aside
                answer.loaded = answer.duplicates = msgspec.UNSET
                return 202, answer, said
            answer.loaded, answer.duplicates = loaded.loaded, loaded.duplicates
        return 200, answer, said

    async def _accept(self, principal: Principal, headers: Mapping[bytes, bytes], passage: Passage) -> tuple[Accepted, bytes]:
        encoding = headers.get(b"content-encoding", b"")
        ndjson = headers.get(b"content-type", b"").partition(b";")[0].strip().lower() in NDJSON
        body = passage.raw
        acceptor = self._services.models.current.acceptor
        if encoding:
            if len(body) > COMPRESSED_IN_THREAD_BYTES:
                body = await passage.in_thread(functools.partial(decompress, body, encoding))
            else:
                body = decompress(body, encoding)
        now = datetime.now(UTC)
        if len(body) > IN_PIECES_BYTES:
            seal = await passage.in_pieces(acceptor.in_pieces(principal.tenant_id, body, now, ndjson=ndjson))
            return await passage.in_thread(seal), body

        def work(acceptor: Acceptor) -> Accepted:
            return acceptor.accept(principal.tenant_id, body, now, ndjson=ndjson)

        return await passage.work(work, self._services.models.current, large=False), body

    async def _enqueue(
        self,
        principal: Principal,
        headers: Mapping[bytes, bytes],
        accepted: Accepted,
        answer: Answer,
        body: bytes,
        passage: Passage,
    ) -> tuple[int, Answer]:
        idempotency = None
        if (key := headers.get(b"idempotency-key")) is not None:
            idempotency = Idempotency(
                key=idempotency_key(key),
                body_hash=blake2b(body, digest_size=16).digest(),
                answer=msgspec.to_builtins(answer),
            )
        receipt = await self._services.queue.enqueue(
            tenant_id=principal.tenant_id,
            lane=principal.lane,
            kind=Kind.ACTIVITIES,
            model=accepted.model_version,
            rows=accepted.rows,
            payload=accepted.payload,
            idempotency=idempotency,
        )
        if receipt.answer_replayed is not None:
            answer = msgspec.convert(receipt.answer_replayed, Answer)
            passage.uncount()
        answer.receipt = self._services.receipts.sign(principal.tenant_id, receipt.batch_id)
        return receipt.batch_id, answer


def preferences(header: bytes | None) -> Preferences:
    """What is not understood in the header is no error: preferences may be ignored."""
    if not header:
        return Preferences()
    text = header.decode("latin-1").lower()
    wait = WAIT.search(text)
    return Preferences(wait_s=min(float(wait[1]), WAIT_S_MAX) if wait else None, representation="return=representation" in text)


def idempotency_key(header: bytes) -> str:
    key = header.decode("latin-1").strip()
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isprintable():
        detail = f"must have 1 to {KEY_CHARACTERS_MAX} printable characters"
        raise InvalidInput(errors=(FieldError("/Idempotency-Key", detail),))
    return key
