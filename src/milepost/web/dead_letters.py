"""`/v1/admin/dead-letters`: what could not be loaded: listed, looked into, replayed, discarded. A key sees its tenant's alone.

A replay or discard of several names what it means: by number, class of error, kind, time of the failure, or `{"all": true}`, so
that a body that says nothing is no order. Replaying twice, or two at once, replays once.
"""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from typing import Annotated, Any

from litestar import Response, delete, get, post
from litestar.params import PathParameter, QueryParameter

from milepost.errors import FieldError, InvalidInput, NotFound, unknown_fields
from milepost.intake.dead_letters import KIND_NAMES, LetterKind
from milepost.intake.fault import ERROR_CLASSES
from milepost.intake.letters import Letter, Selection, contents, find, log_page, page
from milepost.intake.replay import Done, discard, replay
from milepost.web import dead_letter_schemas
from milepost.web.answers import answer, tagged
from milepost.web.answers import page as page_of
from milepost.web.bodies import decode_object
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, From, Limit, To, moment
from milepost.web.request import ApiRequest, admins

__all__ = ["routes"]

IDS_MAX = 1_000
REASON_CHARACTERS_MAX = 1_000
KINDS = {name: kind for kind, name in KIND_NAMES.items()}

ErrorClass = Annotated[
    str | None,
    QueryParameter(name="error_class", description=f"Only of this class of error: {', '.join(ERROR_CLASSES)}."),
]
OfKind = Annotated[str | None, QueryParameter(name="kind", description=f"Only of this kind: {', '.join(KINDS)}.")]
Number = Annotated[str, PathParameter(description="The dead letter's `id`.")]
Reason = Annotated[str | None, QueryParameter(name="reason", description="Why it is thrown away. Kept in the log.")]


@get(
    "/v1/admin/dead-letters",
    guards=[admins],
    summary="What could not be loaded",
    description="Oldest first, without what lies in them. `from` and `to` are of the last failure.",
    opt=documented("Running it", dead_letter_schemas.DeadLetterPage),
)
async def list_letters(
    request: ApiRequest,
    limit: Limit = 50,
    cursor: Cursor = None,
    error_class: ErrorClass = None,
    kind: OfKind = None,
    since: From = None,
    until: To = None,
) -> Response[bytes]:
    tenant_id, position = request.user.tenant_id, request.position(cursor)
    selection = _selection({"error_class": error_class, "kind": kind, "from": since, "to": until})
    after = int.from_bytes(position, "big") if position else 0
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        found = await page(conn, tenant_id, selection, after=after, limit=limit + 1)
    items = [_shown(request, letter) for letter in found[:limit]]
    return page_of(request, items, found[limit - 1].letter_id.to_bytes(8, "big") if len(found) > limit else None)


@get(
    "/v1/admin/dead-letters/{letter:str}",
    guards=[admins],
    summary="One dead letter, and what lies in it",
    description="`items`: activities as they would be sent, with the id that each was given; a command; or raw input.",
    opt=documented("Running it", dead_letter_schemas.DeadLetterShown),
)
async def read_letter(request: ApiRequest, letter: Number, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    tenant_id, position = request.user.tenant_id, request.position(cursor)
    first = int.from_bytes(position, "big") if position else 0
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        found = await find(conn, tenant_id, _id(letter))
        items = await contents(conn, found, first=first, rows=limit)
    more = first + limit < found.rows and len(items) == limit
    following = request.services.cursors.sign(request.question(), (first + limit).to_bytes(8, "big")) if more else None
    return tagged(request, {**_shown(request, found), "items": items, "next": following})


@post(
    "/v1/admin/dead-letters/{letter:str}/replay",
    guards=[admins],
    status_code=200,
    summary="Replay one dead letter",
    description="It goes into the queue as a fresh batch, exactly once, under the current model. 404 where it is not there any more.",
    opt=documented("Running it", dead_letter_schemas.Replayed),
)
async def replay_one(request: ApiRequest, letter: Number) -> Response[bytes]:
    done = await _replay(request, Selection(ids=(_id(letter),)))
    if not done.letters and not done.kept:
        raise NotFound("There is no such dead letter.")
    return _replayed(request, done)


@post(
    "/v1/admin/dead-letters/replay",
    guards=[admins],
    status_code=200,
    summary="Replay several dead letters",
    description='By `ids`, `error_class`, `kind`, `from`, `to`, or `{"all": true}`.',
    opt=documented("Running it", dead_letter_schemas.Replayed, body=dead_letter_schemas.DeadLetterSelection),
)
async def replay_several(request: ApiRequest) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    return _replayed(request, await _replay(request, _selection(body, explicit=True)))


@post(
    "/v1/admin/dead-letters/discard",
    guards=[admins],
    status_code=200,
    summary="Discard several dead letters",
    description="As for a replay, with the `reason`, which is kept in the log.",
    opt=documented("Running it", dead_letter_schemas.Discarded, body=dead_letter_schemas.DeadLetterDiscard),
)
async def discard_several(request: ApiRequest) -> Response[bytes]:
    body = decode_object(await request.whole_body())
    reason = _reason(body.pop("reason", None))
    done = await _discard(request, _selection(body, explicit=True), reason)
    return answer({"letters": done.letters, "rows": done.rows})


@delete(
    "/v1/admin/dead-letters/{letter:str}",
    guards=[admins],
    status_code=200,
    summary="Discard one dead letter",
    description="`reason` is required: it is kept in the log.",
    opt=documented("Running it"),
)
async def discard_one(request: ApiRequest, letter: Number, reason: Reason = None) -> Response[bytes]:
    done = await _discard(request, Selection(ids=(_id(letter),)), _reason(reason))
    if not done.letters:
        raise NotFound("There is no such dead letter.")
    return answer(None, status=204)


@get(
    "/v1/admin/dead-letters/log",
    guards=[admins],
    summary="What was replayed and discarded",
    description="Newest first: who, when, how many, and why.",
    opt=documented("Running it", dead_letter_schemas.DeadLetterLog),
)
async def read_log(request: ApiRequest, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    tenant_id, position = request.user.tenant_id, request.position(cursor)
    before = int.from_bytes(position, "big") if position else None
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        found = await log_page(conn, tenant_id, before=before, limit=limit + 1)
    items = []
    for entry in found[:limit]:
        shown = asdict(entry)
        shown["receipts"] = [request.services.receipts.sign(tenant_id, batch) for batch in shown.pop("batches")]
        items.append(shown)
    return page_of(request, items, found[limit - 1].id.to_bytes(8, "big") if len(found) > limit else None)


def _shown(request: ApiRequest, letter: Letter) -> dict[str, Any]:
    receipt = None
    if letter.batch_id is not None:
        receipt = request.services.receipts.sign(letter.tenant_id, letter.batch_id)
    return {**letter.shown(), "receipt": receipt}


def _replayed(request: ApiRequest, done: Done) -> Response[bytes]:
    receipts = [request.services.receipts.sign(request.user.tenant_id, batch_id) for batch_id in done.batches]
    return answer({"letters": done.letters, "rows": done.rows, "kept": done.kept, "receipts": receipts})


async def _replay(request: ApiRequest, selection: Selection) -> Done:
    services, principal = request.services, request.user
    served = services.models.current
    done = await replay(
        services.db,
        principal.tenant_id,
        selection,
        model=served.model,
        version=served.version,
        by=f"key {principal.key_id}",
    )
    if done.batches:
        services.queue.announce(principal.lane)
    return done


async def _discard(request: ApiRequest, selection: Selection, reason: str) -> Done:
    principal = request.user
    return await discard(request.services.db, principal.tenant_id, selection, by=f"key {principal.key_id}", reason=reason)


def _id(text: str) -> int:
    """A letter's number. What is none is as little there as one that nobody has."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound("There is no such dead letter.")
    return int(text)


def _reason(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(errors=(FieldError("/reason", "is required: it is kept in the log"),))
    if len(value) > REASON_CHARACTERS_MAX:
        raise InvalidInput(errors=(FieldError("/reason", f"has more than {REASON_CHARACTERS_MAX} characters"),))
    return value.strip()


def _selection(given: dict[str, Any], *, explicit: bool = False) -> Selection:
    """explicit: something must be named, or `all`. Raises `InvalidInput` with every field at fault."""
    faults = unknown_fields(given, ("ids", "error_class", "kind", "from", "to", "all"))
    chosen = {name: value for name, value in given.items() if value is not None and name != "all"}
    every = given.get("all")
    if not isinstance(every, bool | None):
        faults.append(FieldError("/all", "expected true or false"))
    elif explicit and bool(every) == bool(chosen):
        detail = "name what is meant, or all, but not both" if chosen else 'name what is meant, or say {"all": true}'
        faults.append(FieldError("/all", detail))
    ids = chosen.get("ids")
    if ids is not None and not _are_ids(ids):
        faults.append(FieldError("/ids", f"expected 1 to {IDS_MAX} numbers of dead letters"))
    for name, words in (("error_class", list(ERROR_CLASSES)), ("kind", list(KINDS))):
        if (word := chosen.get(name)) is not None and word not in words:
            near = get_close_matches(str(word), words, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            faults.append(FieldError(f"/{name}", f"{word!r} is none of {', '.join(words)}{hint}"))
    times = {}
    for name in ("from", "to"):
        if not isinstance(chosen.get(name), str | None):
            faults.append(FieldError(f"/{name}", "expected a time"))
            continue
        try:
            times[name] = moment(name, chosen.get(name))
        except InvalidInput as error:
            faults += error.errors
    if faults:
        raise InvalidInput(errors=tuple(faults))
    kind = chosen.get("kind")
    return Selection(
        ids=None if ids is None else tuple(ids),
        error_class=chosen.get("error_class"),
        kind=None if kind is None else LetterKind(KINDS[kind]),
        since=times["from"],
        until=times["to"],
    )


def _are_ids(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= IDS_MAX
        and all(isinstance(one, int) and not isinstance(one, bool) and 0 < one < 2**62 for one in value)
    )


routes = [list_letters, read_log, read_letter, replay_several, discard_several, replay_one, discard_one]
