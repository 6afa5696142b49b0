"""Accept: check a request's activities against the model and make one batch of those that are right.

Each activity stands alone: a wrong one is answered with its index, a JSON pointer and a sentence, and the others go on. What is
accepted is complete: it has its id and time, so that loading it twice, by whomever, counts it once. Accepting touches no
database; it costs about 10 µs of CPU an activity.

Fails as a whole, with InvalidInput or TooLarge, only where the body is not a list of activities at all.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import json
import operator
from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Annotated, Any

import msgspec

from milepost import limits
from milepost.activity import YEAR_ONE, id_high, id_low, key_hash, microseconds, random_hash
from milepost.errors import FieldError, InvalidInput, TooLarge
from milepost.intake import _rows
from milepost.intake._named_files import Named, NamedFiles
from milepost.intake._storable import check_storable, may_be_unstorable
from milepost.intake._verb_rows import VerbRows, explain, verb_struct
from milepost.model import Model
from milepost.schema.compile import row_columns
from milepost.storage.tickets import Tickets

__all__ = ["Accepted", "Acceptor", "Rejected"]

_EARLIEST_US = microseconds(limits.AGE_MIN)
PIECE_ROWS = 100  # about a millisecond
_FUTURE_US = int(limits.FUTURE_MAX.total_seconds()) * 1_000_000


class Rejected(msgspec.Struct, frozen=True):
    index: int
    pointer: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """payload: empty where rows is 0. ids: of the accepted ones, in order, as integers. high: the largest id."""

    rows: int
    rejected: tuple[Rejected, ...]
    payload: bytes
    ids: tuple[int, ...]
    model_version: int


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One activity as a row, for a correction."""

    payload: _rows.Payload
    id: int


@dataclass(kw_only=True, slots=True)
class _Batch:
    """What is made of a list of activities. parts: of its rows, two a row: what the delta has of it, and the rest."""

    parts: list[bytes] = field(default_factory=list)
    lengths: array[int] = field(default_factory=lambda: array("I"))
    splits: array[int] = field(default_factory=lambda: array("I"))
    ids: list[int] = field(default_factory=list)
    actors: dict[str, int] = field(default_factory=dict)  # places by names
    groups: dict[str, int] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    large: list[int] = field(default_factory=list)  # rows whose content is to leave them
    files: dict[int, Named] = field(default_factory=dict)  # by row

    def payload(self, columns: str, delta: int) -> _rows.Payload:
        header = _rows.Header(
            columns=columns,
            delta=delta,
            actors=list(self.actors),
            groups=list(self.groups),
            keys=self.keys,
            large=self.large,
            files=self.files,
        )
        return _rows.Payload(header=header, lengths=self.lengths, splits=self.splits, rows=b"".join(self.parts))


class _NoVerb(msgspec.Struct, tag_field="verb", tag="\0"):
    """Makes the union a union even for a model of one verb, so that `verb` is always required."""


class Acceptor:
    """One for each model version; safe to share between tasks of one thread."""

    def __init__(self, model: Model, version: int, tickets: Tickets | None = None) -> None:
        """tickets: by which activities name files; None: by their ids as well, and whoever loads looks for them."""
        self.model = model
        self.version = version
        structs = {name: verb_struct(verb) for name, verb in model.verbs.items()}
        activity: Any = functools.reduce(operator.or_, structs.values(), _NoVerb)
        self._one = msgspec.json.Decoder(activity)
        body = msgspec.defstruct(
            "Body",
            [("activities", Annotated[list[activity], _AT_MOST])],
            forbid_unknown_fields=True,
        )
        self._body: Any = msgspec.json.Decoder(body)
        self._raw_body = msgspec.json.Decoder(_RawBody)
        row = row_columns(model)
        self._columns = ", ".join(row.every)
        self._column_count = len(row.every)
        self._delta_count = 1 + len(row.delta)
        self._verbs = {structs[name]: VerbRows(verb, model, row) for name, verb in model.verbs.items()}
        self._files = NamedFiles({structs[name]: verb for name, verb in model.verbs.items()}, tickets)
        self._texts = _rows.TextCache()
        self._measures = model.measures()

    def accept(self, tenant_id: int, body: bytes, now: datetime, *, ndjson: bool = False) -> Accepted:
        """body: `{"activities": […]}`, or one activity a line. now: with a zone; stands in for a missing `occurred_at`."""
        items: list[Any]
        rejected: list[Rejected] = []
        if ndjson and _has_too_many_lines(body):
            raise _too_many()
        if may_be_unstorable(body):
            items = self._each(body, ndjson, rejected)
        else:
            try:
                items = self._one.decode_lines(body) if ndjson else self._body.decode(body).activities
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                items = self._each(body, ndjson, rejected)
        batch = _Batch()
        self._encode(batch, tenant_id, items, now, rejected, received_at=now)
        return self._sealed(batch, rejected)

    def in_pieces(
        self, tenant_id: int, body: bytes, now: datetime, *, ndjson: bool = False
    ) -> Generator[None, None, Callable[[], Accepted]]:
        """The same, a piece at each step, so that others get their turn on the event loop in between. What it returns seals the batch, and
        may do so in another thread."""
        if ndjson and _has_too_many_lines(body):
            raise _too_many()
        batch, rejected = _Batch(), list[Rejected]()
        raws = self._raws(body, ndjson)
        yield
        for first in range(0, len(raws), PIECE_ROWS):
            piece = raws[first : first + PIECE_ROWS]
            items = [self._item(bytes(raw), index, rejected) for index, raw in enumerate(piece, first)]
            self._encode(batch, tenant_id, items, now, rejected, received_at=now, first=first)
            yield
        return functools.partial(self._sealed, batch, rejected)

    def correction(self, tenant_id: int, body: bytes, now: datetime, *, received_at: datetime, hash62: int) -> Encoded:
        """A corrected activity, which keeps its identity `hash62` and when it was first received. Raises InvalidInput."""
        rejected: list[Rejected] = []
        found = self._item(body, 0, rejected)
        batch = _Batch()
        self._encode(batch, tenant_id, [found], now, rejected, received_at=received_at, hash62=hash62)
        if rejected:
            raise InvalidInput(
                "The activity would not be valid.",
                errors=tuple(FieldError(item.pointer, item.detail) for item in rejected),
            )
        return Encoded(payload=batch.payload(self._columns, self._delta_count), id=batch.ids[0])

    def _sealed(self, batch: _Batch, rejected: list[Rejected]) -> Accepted:
        ids, payload = batch.ids, b""
        if ids:
            payload = _rows.seal_payload(batch.payload(self._columns, self._delta_count))
        rejected.sort(key=lambda item: item.index)
        return Accepted(rows=len(ids), rejected=tuple(rejected), payload=payload, ids=tuple(ids), model_version=self.version)

    def _encode(
        self,
        batch: _Batch,
        tenant_id: int,
        items: list[Any],
        now: datetime,
        rejected: list[Rejected],
        *,
        received_at: datetime,
        hash62: int | None = None,
        first: int = 0,
    ) -> None:
        """Every item that is right as a row of the batch; the others' mistakes go to `rejected`. None stands for one that is there already.

        hash62: the identity of a corrected activity. first: the place of the first item in the request. This loop is what an activity costs in Python: names are bound once, parts
        are joined once.
        """
        if self._files:
            items = self._with_right_files(tenant_id, items, now, rejected, first)
        texts, verbs, null, count = self._texts, self._verbs, _rows.NULL, self._column_count
        pack_head, pack_without_group, int_from = _rows.pack_head, _rows.pack_head_without_group, int.from_bytes
        received = _rows.timestamp(microseconds(received_at))
        now_us = microseconds(now)
        earliest, latest = _EARLIEST_US, now_us + _FUTURE_US
        actors, groups, parts, ids = batch.actors, batch.groups, batch.parts, batch.ids
        add_length, add_split = batch.lengths.append, batch.splits.append
        for index, item in enumerate(items, first):
            if item is None:
                continue
            verb, target = verbs[type(item)], item.object
            try:
                middle = verb.middle(item.visibility, target)
                read, others = verb.own(item)
            except InvalidInput as error:
                rejected.extend(Rejected(index, field.pointer, field.detail) for field in error.errors)
                continue
            key, source, moment = item.key, item.source or "", item.occurred_at
            if moment is None:
                us = now_us
            else:
                since = moment - YEAR_ONE
                us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
                if us > latest:
                    rejected.append(Rejected(index, "/occurred_at", "more than 24 hours in the future"))
                    continue
                if us < earliest:
                    rejected.append(Rejected(index, "/occurred_at", "before the year 2"))
                    continue
            if hash62 is not None:
                low = id_low(hash62)
            elif key is None:
                low = id_low(random_hash())
            else:
                digest = key_hash(tenant_id, source, key)
                low = id_low(int_from(digest[:8], "big"))
                if moment is None:
                    batch.keys[len(ids)] = digest.hex()
            high = id_high(us)
            since_2000 = us - _rows.POSTGRES_EPOCH_US
            name, group_name = item.actor, item.group
            actor = actors.get(name)
            if actor is None:
                actor = actors[name] = len(actors)
            if item.groups:
                group_name, *more = dict.fromkeys([group_name, *item.groups] if group_name else item.groups)
                if more:
                    groups.setdefault(group_name, len(groups))
                    middle = _rows.int8_array([groups.setdefault(one, len(groups)) for one in more]) + middle[len(null) :]
            if group_name:
                group = groups.get(group_name)
                if group is None:
                    group = groups[group_name] = len(groups)
                head = pack_head(count, 4, tenant_id, 16, high, low, 8, since_2000, 8, actor, 8, group)
            else:
                head = pack_without_group(count, 4, tenant_id, 16, high, low, 8, since_2000, 8, actor, -1)
            folded = b"".join(
                (
                    head,
                    middle,
                    _rows.text(target.id) if target else null,
                    texts[source],
                    texts[item.status or ""],
                    read,
                )
            )
            if len(others) > verb.look_over:
                if len(item.content) > verb.large_over:
                    batch.large.append(len(ids))
                if verb.files and item.files is not None:
                    batch.files[len(ids)] = item.files
            rest = b"".join((received, null if key is None else _rows.text(key), others))
            parts += (folded, rest)
            add_split(len(folded))
            add_length(len(folded) + len(rest))
            ids.append(high << 64 | low)

    def _with_right_files(
        self, tenant_id: int, items: list[Any], now: datetime, rejected: list[Rejected], first: int
    ) -> list[Any]:
        """None stands for one that names a file that it may not."""
        right: list[Any] = []
        for item, wrong in self._files.checked(tenant_id, items, now):
            rejected.extend(Rejected(first + len(right), one.pointer, one.detail) for one in wrong)
            right.append(None if wrong else item)
        return right

    def _each(self, body: bytes, ndjson: bool, rejected: list[Rejected]) -> list[Any]:
        """Decode one by one, so that a mistake costs its own activity alone. None stands for a rejected one."""
        return [self._item(bytes(raw), index, rejected) for index, raw in enumerate(self._raws(body, ndjson))]

    def _raws(self, body: bytes, ndjson: bool) -> Sequence[Any]:
        """The activities of a body, each as its JSON."""
        if ndjson:
            return [line for line in body.split(b"\n") if line.strip()]
        raws: list[Any]
        try:
            raws = self._raw_body.decode(body).activities
        except msgspec.ValidationError as error:
            pointer, detail = explain(str(error))
            if pointer == "/activities" and detail.startswith("Expected array of length"):
                raise _too_many() from error
            raise InvalidInput('The body is not {"activities": […]}.', errors=(FieldError(pointer, detail),)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raws = self._despite_surrogates(body)
            if not raws:
                raise InvalidInput("The body is not JSON.", errors=(FieldError("", str(error)),)) from error
        except RecursionError as error:
            raise InvalidInput("The body is nested too deeply.", errors=(FieldError("", "nested too deeply"),)) from error
        return raws

    def _despite_surrogates(self, body: bytes) -> list[bytes]:
        """msgspec refuses a body for half a surrogate pair anywhere in it, but that is one activity's mistake. → none: it is another."""
        if b"\\ud" not in body.lower():
            return []
        try:
            items = json.loads(body)["activities"]
            if not isinstance(items, list):
                return []
            if len(items) > limits.ACTIVITIES_PER_REQUEST_MAX:
                raise _too_many()
            return [json.dumps(item).encode() for item in items]
        except (ValueError, TypeError, KeyError, RecursionError):
            return []

    def _item(self, raw: bytes, index: int, rejected: list[Rejected]) -> Any | None:
        try:
            if may_be_unstorable(raw):
                check_storable(raw)
            return self._one.decode(raw)
        except InvalidInput as error:
            rejected.extend(Rejected(index, field.pointer, field.detail) for field in error.errors)
        except msgspec.ValidationError as error:
            pointer, detail = explain(str(error))
            if pointer == "/verb" and detail.startswith("Invalid value"):
                detail = self._unknown_verb(detail)
            elif pointer.startswith("/measures/"):
                detail = self._of_measure(pointer, detail)
            rejected.append(Rejected(index, pointer, detail))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            rejected.append(Rejected(index, "", f"not JSON: {error}"))
        except RecursionError:
            rejected.append(Rejected(index, "", "nested too deeply"))
        return None

    def _of_measure(self, pointer: str, detail: str) -> str:
        """As it is declared: an integer is read as a float, too, since 5.0 is one."""
        measure = self._measures.get(pointer.removeprefix("/measures/"))
        if measure is None or measure.scale:
            return detail
        return detail.replace("Expected float", "Expected an integer").removesuffix(".0")

    def _unknown_verb(self, detail: str) -> str:
        verb = detail.removeprefix("Invalid value ").strip("'")
        near = difflib.get_close_matches(verb, self.model.verbs, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{verb!r} is not a verb of the model{hint}"


# Looked at while it is read, so that a body of millions costs no more than one of as many as may be.
_AT_MOST = msgspec.Meta(max_length=limits.ACTIVITIES_PER_REQUEST_MAX)


class _RawBody(msgspec.Struct, forbid_unknown_fields=True):
    activities: Annotated[list[msgspec.Raw], _AT_MOST]


def _has_too_many_lines(body: bytes) -> bool:
    """Blank ones do not count."""
    if body.count(b"\n") < limits.ACTIVITIES_PER_REQUEST_MAX:
        return False
    filled = (line for line in BytesIO(body) if not line.isspace())
    return next(itertools.islice(filled, limits.ACTIVITIES_PER_REQUEST_MAX, None), None) is not None


def _too_many() -> TooLarge:
    return TooLarge(
        f"More than {limits.ACTIVITIES_PER_REQUEST_MAX} activities in one request: send several.",
        limit=limits.ACTIVITIES_PER_REQUEST_MAX,
    )
