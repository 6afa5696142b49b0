"""Problems: every error as RFC 9457 problem details, in one table.

    {"type": "/problems/invalid-input", "title": "…", "status": 400, "detail": "…",
     "errors": [{"pointer": "/cursor", "detail": "…"}]}

`GET /problems/{slug}` says what a type means. An error that is not in the table is our own mistake: the answer is a
500 with an id and nothing of what went wrong inside; the log has both. What exists but is another tenant's is 404,
like what does not exist.
"""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar.exceptions import HTTPException, ValidationException

from milepost.errors import (
    Conflict,
    DatabaseUnavailable,
    FieldError,
    Forbidden,
    InvalidInput,
    MilepostError,
    NotFound,
    ObjectDamaged,
    ObjectMissing,
    PreconditionFailed,
    QueueFull,
    QueueUnavailable,
    StoreUnavailable,
    Timeout,
    TooLarge,
    Unauthorized,
)
from milepost.intake.pressure.refusal import LimitReached, Overfull, Refused
from milepost.rollups.filling import BeingFilled
from milepost.storage.cold_files import ColdFileDamaged
from milepost.storage.file import Unfit

__all__ = [
    "KINDS",
    "MEDIA_TYPE",
    "NoSuchRange",
    "NotReady",
    "Problem",
    "Unprocessable",
    "UnsupportedEncoding",
    "problem_of",
]

MEDIA_TYPE = b"application/problem+json"
DETAILED_MAX = 3  # fields named in the sentence; all are in `errors`
UNDEFINED_SQLSTATES = frozenset({"42P01", "42703"})  # a table or column that is not there

_log = structlog.get_logger(__name__)


class NoSuchRange(MilepostError):
    """There are no such bytes. size: how many there are."""


class NotReady(MilepostError):
    """The server cannot do this yet."""


class Unprocessable(InvalidInput):
    """What was sent is well formed, but cannot be so here."""


class UnsupportedEncoding(MilepostError):
    """The body is in a form that is not understood here."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    slug: str
    status: int
    title: str
    meaning: str
    retry_after_s: int | None = None


KINDS: dict[str, Kind] = {
    kind.slug: kind
    for kind in (
        Kind(
            slug="invalid-input",
            status=400,
            title="The request is not valid",
            meaning="The body, a parameter or a header cannot be read as what it should be; `errors` names each by a JSON "
            "pointer into the body, or by /NAME for a parameter. The same request will fail again.",
        ),
        Kind(
            slug="unprocessable",
            status=422,
            title="The request cannot be so",
            meaning="The body can be read, but something in it is not possible here, such as a kind of group that the model "
            "does not have, or a file that is not what was said of it; `errors` names each field. Nothing was changed.",
        ),
        Kind(
            slug="unauthorized",
            status=401,
            title="The key is missing, wrong or revoked",
            meaning="Send `Authorization: Bearer KEY`, with a key that `milepost key create` printed and nobody revoked, or with a viewer "
            "token that has not expired.",
        ),
        Kind(
            slug="forbidden",
            status=403,
            title="The key does not allow this",
            meaning="The key is right, but has not the scope (read, write or admin) that this request needs; or it is a viewer token, and "
            "those only read what is shown to viewers.",
        ),
        Kind(
            slug="not-found",
            status=404,
            title="There is no such thing here",
            meaning="The route or the thing does not exist, or the key or the viewer may not know that it does.",
        ),
        Kind(
            slug="method-not-allowed",
            status=405,
            title="This cannot be done here",
            meaning="The route exists, but not for this method; the header Allow lists those it has.",
        ),
        Kind(
            slug="conflict",
            status=409,
            title="This contradicts what is there",
            meaning="The change would break a rule between stored things, such as two activities with one key at one time.",
        ),
        Kind(
            slug="precondition-failed",
            status=412,
            title="It has changed since it was read",
            meaning="If-Match named another version than the current one, which `version` tells. Read it again.",
        ),
        Kind(
            slug="too-large",
            status=413,
            title="The request is too large",
            meaning="A request holds up to 20 MiB after decompression, and up to 10,000 activities. Send several.",
        ),
        Kind(
            slug="unsupported-encoding",
            status=415,
            title="The body is in an unknown form",
            meaning="Content-Encoding may be gzip or zstd, or absent; bodies are JSON, activities also NDJSON.",
        ),
        Kind(
            slug="no-such-range",
            status=416,
            title="There are no such bytes",
            meaning="The header Range names bytes after the end; Content-Range tells how many there are.",
        ),
        Kind(
            slug="limit-reached",
            status=429,
            title="A limit of the tenant is reached",
            meaning="The tenant has sent as many activities as it may for now: `violated-policies` names the limit (rate, per_day or "
            "per_month), RateLimit-Policy and RateLimit tell how much it is and what is left. Nothing of this request was taken; send "
            "it again after the time in Retry-After.",
        ),
        Kind(
            slug="too-many-requests",
            status=429,
            title="Too much at once",
            meaning="The server holds as many unfinished bytes of this tenant as it may, or as many of its activities wait to be "
            "loaded. Nothing of this request was taken; send it again after the time in Retry-After.",
        ),
        Kind(
            slug="queue-full",
            status=429,
            title="No more can be kept for now",
            meaning="The queue is away, and the file that keeps activities meanwhile is full, or its disk is. Nothing of this "
            "request was taken; send it again after the time in Retry-After. /readyz tells how much is kept.",
            retry_after_s=5,
        ),
        Kind(
            slug="internal",
            status=500,
            title="The server made a mistake",
            meaning="Something failed that should not; `id` finds it in the server's log.",
        ),
        Kind(
            slug="not-ready",
            status=503,
            title="Not ready yet",
            meaning="The server lacks something, such as a model; /readyz says what. Ask again after Retry-After.",
            retry_after_s=2,
        ),
        Kind(
            slug="being-filled",
            status=503,
            title="It is being filled",
            meaning="This was declared a short while ago, and the activities there were before are still being counted. The "
            "numbers would be wrong until then, so there are none.",
            retry_after_s=5,
        ),
        Kind(
            slug="unavailable",
            status=503,
            title="The database cannot be reached",
            meaning="Nothing was acknowledged. Activities can be sent again: with a key and a time, or under the same "
            "Idempotency-Key, they count once.",
            retry_after_s=1,
        ),
        Kind(
            slug="archive-unavailable",
            status=503,
            title="The archive cannot be read",
            meaning="What was asked for is archived, and its file is missing or damaged. What is not archived goes on being answered.",
            retry_after_s=5,
        ),
        Kind(
            slug="store-unavailable",
            status=503,
            title="The object store cannot be reached",
            meaning="What was asked for lies in the object store, which does not answer. All that is in PostgreSQL is served as ever.",
            retry_after_s=5,
        ),
        Kind(
            slug="object-damaged",
            status=500,
            title="An object is missing or damaged",
            meaning="What was asked for lies in the object store, and what is there is not what was written. `object` names it; nothing "
            "of it is served.",
        ),
        Kind(
            slug="too-slow",
            status=503,
            title="It took too long",
            meaning="The database did not answer in the time allowed, or no connection came free.",
            retry_after_s=2,
        ),
    )
}

# The first that fits.
_SLUGS: tuple[tuple[type[Exception], str], ...] = (
    (Unprocessable, "unprocessable"),
    (Unfit, "unprocessable"),
    (InvalidInput, "invalid-input"),
    (Unauthorized, "unauthorized"),
    (Forbidden, "forbidden"),
    (NotFound, "not-found"),
    (Conflict, "conflict"),
    (PreconditionFailed, "precondition-failed"),
    (TooLarge, "too-large"),
    (UnsupportedEncoding, "unsupported-encoding"),
    (NoSuchRange, "no-such-range"),
    (LimitReached, "limit-reached"),
    (Overfull, "too-many-requests"),
    (QueueFull, "queue-full"),
    (NotReady, "not-ready"),
    (BeingFilled, "being-filled"),
    (DatabaseUnavailable, "unavailable"),
    (QueueUnavailable, "unavailable"),
    (ColdFileDamaged, "archive-unavailable"),
    (StoreUnavailable, "store-unavailable"),
    (ObjectMissing, "object-damaged"),
    (ObjectDamaged, "object-damaged"),
    (Timeout, "too-slow"),
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An answer: status, headers, body."""

    kind: Kind
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return self.kind.status

    def body(self) -> bytes:
        kind = self.kind
        shown: dict[str, Any] = {
            "type": f"/problems/{kind.slug}" if kind.slug in KINDS else "about:blank",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
        }
        if self.errors:
            shown["errors"] = [{"pointer": error.pointer, "detail": error.detail} for error in self.errors]
        return msgspec.json.encode(shown | dict(self.more))


def problem_of(error: Exception) -> Problem:
    """The problem that answers an error. What is our own mistake is logged here."""
    if isinstance(error, HTTPException):
        return _of_http(error)
    for kind_of_error, slug in _SLUGS:
        if isinstance(error, kind_of_error):
            kind = KINDS[slug]
            headers: dict[str, str] = {}
            if kind.retry_after_s is not None:
                headers["retry-after"] = str(kind.retry_after_s)
            if slug == "unauthorized":
                headers["www-authenticate"] = 'Bearer realm="milepost"'
            if slug == "unsupported-encoding":
                headers["accept-encoding"] = "gzip, zstd, identity"
            if isinstance(error, NoSuchRange):
                headers["content-range"] = f"bytes */{error.size}"
            more: dict[str, Any] = {}
            if isinstance(error, PreconditionFailed):
                more["version"] = error.facts["version"]
            if isinstance(error, ObjectMissing | ObjectDamaged):
                more["object"] = error.facts.get("path")
                _log.error("an object is missing or damaged", object=more["object"])
            if isinstance(error, Refused):
                headers |= {"retry-after": str(error.retry_after_s), **error.headers}
            if isinstance(error, LimitReached):
                more["violated-policies"] = [error.reason]
            errors = error.errors if isinstance(error, InvalidInput) else ()
            return Problem(kind=kind, detail=_detail(error, errors), errors=errors, headers=headers, more=more)
    if isinstance(error, MilepostError) and error.facts.get("sqlstate") in UNDEFINED_SQLSTATES:
        detail = "The model is being changed just now: ask again."
        return Problem(kind=KINDS["not-ready"], detail=detail, headers={"retry-after": "1"})
    identity = secrets.token_hex(6)
    # As text, not as exc_info: pretty tracebacks show local variables, and those hold keys and what people did.
    trace = "".join(traceback.format_exception(error))
    _log.error("request failed", id=identity, error=type(error).__name__, trace=trace)
    detail = f"This is not your mistake. The server's log knows more under the id {identity}."
    return Problem(kind=KINDS["internal"], detail=detail, more={"id": identity})


def _detail(error: Exception, errors: tuple[FieldError, ...]) -> str:
    """A sentence. An error that says nothing beyond its fields says those."""
    text = str(error)
    if errors and text == (type(error).__doc__ or "").strip().splitlines()[0]:
        named = "; ".join(f"{one.pointer.removeprefix('/') or 'the body'}: {one.detail}" for one in errors[:DETAILED_MAX])
        return f"{text} {named}"
    return text


def _of_http(error: HTTPException) -> Problem:
    """What the framework refuses: unknown routes, methods, parameters of a wrong type."""
    errors: tuple[FieldError, ...] = ()
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        errors = tuple(
            FieldError(f"/{one.get('key', '')}", str(one.get("message", "is not valid")).replace("`", ""))
            for one in error.extra
            if isinstance(one, dict)
        )
    by_status = {404: "not-found", 405: "method-not-allowed", 400: "invalid-input", 413: "too-large"}
    slug = by_status.get(error.status_code)
    if slug is None:
        phrase = HTTPStatus(error.status_code).phrase
        kind = Kind(slug="", status=error.status_code, title=phrase, meaning=phrase)
    else:
        kind = KINDS[slug]
    details = {
        "not-found": "There is no such route; /openapi.json lists those there are.",
        "method-not-allowed": "This route does not have this method.",
        "invalid-input": "A parameter is not valid.",
    }
    return Problem(
        kind=kind,
        detail=details.get(kind.slug, kind.meaning),
        errors=errors,
        headers=dict(error.headers or {}),
    )
