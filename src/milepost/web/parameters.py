"""Parameters that several routes share, singly or gathered, and what is done about those that a route does not have.

A parameter that is unknown, given twice, empty, missing, none of the words it may be, or nothing that PostgreSQL can be asked for is an
error that names it: a misspelt filter must not be a filter ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, TypeVar

from litestar.di import Provide
from litestar.params import PathParameter, QueryParameter

from milepost.activity import id_from
from milepost.errors import FieldError, InvalidInput
from milepost.model import time_zones
from milepost.rollups.keys import object_of

__all__ = [
    "NARROWED",
    "At",
    "BoardGroup",
    "Cursor",
    "From",
    "IdInPath",
    "Known",
    "Limit",
    "Narrowed",
    "OneActor",
    "OneGroup",
    "OneObject",
    "OneSource",
    "OneStatus",
    "OneVerb",
    "Search",
    "To",
    "Window",
    "local_moment",
    "moment",
    "object_asked",
    "one_of",
    "refuse_wrong",
    "words_of",
    "zone",
]

LIMIT_MAX = 500
NUL = "contains the character NUL (\\u0000), which nothing that is stored has"

Word = TypeVar("Word", bound=str)

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=LIMIT_MAX, description="How many items a page has at most.")]
Cursor = Annotated[
    str | None, QueryParameter(name="cursor", description="The `next` of the page before: the list goes on there.")
]
From = Annotated[
    str | None, QueryParameter(name="from", description="From this time on (RFC 3339; a date is its midnight in UTC).")
]
To = Annotated[str | None, QueryParameter(name="to", description="Before this time (RFC 3339; a date is its midnight in UTC).")]
At = Annotated[str | None, QueryParameter(name="at", description="As it was at this time (RFC 3339). Now, if absent.")]
OneActor = Annotated[str | None, QueryParameter(name="actor", description="Only of this actor.")]
OneGroup = Annotated[str | None, QueryParameter(name="group", description="Only of this group.")]
OneObject = Annotated[
    str | None, QueryParameter(name="object", description="Only of this object: KIND/ID, such as workout/w-55.")
]
OneVerb = Annotated[str | None, QueryParameter(name="verb", description="Only of this verb.")]
OneSource = Annotated[str | None, QueryParameter(name="source", description="Only of this source.")]
OneStatus = Annotated[str | None, QueryParameter(name="status", description="Only of this status.")]
BoardGroup = Annotated[str | None, QueryParameter(name="group", description="Whose board. The one of everywhere, if absent.")]
Window = Annotated[
    str | None,
    QueryParameter(name="window", description="day, week, month, all, or a term: one of the board's; its first, if absent."),
]
Search = Annotated[str | None, QueryParameter(name="q", description="Part of the name or the id, in any case.")]
# An id may hold any character; a slash in it is written %2F.
IdInPath = Annotated[str, PathParameter(description="The app's own id. A slash in it is written %2F.")]


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """To one of each that is given. A route whose handler takes it has these parameters, and `NARROWED` among its dependencies."""

    actor: str | None
    group: str | None
    object: str | None
    verb: str | None
    source: str | None
    status: str | None


def narrowed(
    actor: OneActor = None,
    group: OneGroup = None,
    object: OneObject = None,
    verb: OneVerb = None,
    source: OneSource = None,
    status: OneStatus = None,
) -> Narrowed:
    return Narrowed(actor=actor, group=group, object=object, verb=verb, source=source, status=status)


NARROWED = {"narrowed": Provide(narrowed, sync_to_thread=False)}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A parameter of a route. words: those it may be; none: the route reads it itself. text: it may be any."""

    required: bool = False
    words: tuple[str, ...] = ()
    text: bool = True


def refuse_wrong(asked: Iterable[tuple[str, str]], known: Mapping[str, Known], *, open_to: str | None = None) -> None:
    """asked: parameters in the query. known: by name. open_to: how further ones begin, which the route looks at itself. Raises
    `InvalidInput` for those that are not known, given twice, empty, missing, no word that they may be, or not to be stored."""
    asked = list(asked)
    # Here, and not where each is used: no text of PostgreSQL's has a NUL, and a statement that is given one fails.
    faults = [FieldError(f"/{name}", NUL) for name, value in asked if "\0" in name + value]
    if open_to is not None:
        asked = [(name, value) for name, value in asked if not name.startswith(open_to)]
    for name, times in Counter(name for name, _ in asked).items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            faults.append(FieldError(f"/{name}", f"is not a parameter of this route{hint}"))
        elif times > 1:
            faults.append(FieldError(f"/{name}", "is given more than once"))
    for name, value in asked:
        if name in known and not value:
            faults.append(FieldError(f"/{name}", "is empty"))
        elif name in known and known[name].words and value not in known[name].words:
            faults.append(_none_of(name, value, known[name].words))
        elif name in known and not known[name].text and value.lower() == "null":
            # The framework would read it as the parameter left away.
            faults.append(FieldError(f"/{name}", f"{value!r} is not a value of it"))
    given = {name for name, _ in asked}
    faults += [FieldError(f"/{name}", "is required") for name, one in known.items() if one.required and name not in given]
    if faults:
        raise InvalidInput("A parameter is not valid.", errors=tuple(faults))


def moment(name: str, text: str | None) -> datetime | None:
    """A time with a zone; a date is its midnight in UTC. Raises `InvalidInput`."""
    if text is None:
        return None
    try:
        # A + in a query is a blank once it is unescaped.
        parsed = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if parsed.tzinfo is None and len(text) == len("2026-03-01"):
            parsed = parsed.replace(tzinfo=UTC)
        if parsed.tzinfo is not None:
            parsed = parsed.astimezone(UTC)
            id_from(parsed)
            return parsed
    except (ValueError, OverflowError):
        pass
    detail = f"{text!r} is not an RFC 3339 time with a zone, such as 2026-03-01T07:12:00Z, nor a date"
    raise InvalidInput(errors=(FieldError(f"/{name}", detail),))


def zone(name: str, text: str | None) -> str | None:
    """Raises `InvalidInput` for what is no time zone."""
    if text is not None and text not in time_zones():
        raise InvalidInput(errors=(FieldError(f"/{name}", f"{text!r} is not a time zone, such as 'Europe/Berlin'"),))
    return text


def one_of(name: str, text: str, allowed: Sequence[Word]) -> Word:
    """Raises `InvalidInput` for a word that is not allowed."""
    for word in allowed:
        if word == text:
            return word
    raise InvalidInput(errors=(_none_of(name, text, allowed),))


def _none_of(name: str, text: str, allowed: Sequence[str]) -> FieldError:
    return FieldError(f"/{name}", f"{text!r} is not one of {', '.join(allowed)}")


def words_of(name: str, text: str | None, allowed: Sequence[Word]) -> tuple[Word, ...]:
    """A comma-separated list. Raises `InvalidInput` for a word that is not allowed."""
    return tuple(one_of(name, word.strip(), allowed) for word in (text or "").split(",") if word.strip())


def object_asked(text: str | None) -> tuple[str, str] | None:
    """The kind and id of an object. Raises `InvalidInput`."""
    return None if text is None else object_of(text)


def local_moment(name: str, text: str | None) -> datetime | None:
    """A wall-clock time, such as a bucket's start: a zone may be written, and is not looked at. Raises `InvalidInput`."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text).replace(tzinfo=None)
    except ValueError:
        detail = f"{text!r} is not a local date or time, such as 2026-03-01 or 2026-03-01T13:00"
        raise InvalidInput(errors=(FieldError(f"/{name}", detail),)) from None
