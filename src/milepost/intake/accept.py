"""Accept: check a request's activities against the model and make one batch of those that are right.

Each activity stands alone: a wrong one is answered with its index, a JSON pointer and a sentence, and the others go on. What is
accepted is complete: it has its id and time, so that loading it twice, by whomever, counts it once. Accepting touches no
database; it costs about 10 µs of CPU an activity.

Fails as a whole, with InvalidInput or TooLarge, only where the body is not a list of activities at all.
"""

from __future__ import annotations

import difflib
import functools
import operator
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from milepost import limits
from milepost.activity import HASH_MASK, YEAR_ONE, activity_id, audience_of, key_hash, microseconds, random_hash
from milepost.errors import FieldError, InvalidInput, TooLarge
from milepost.intake import _rows
from milepost.model import Field, Model, Verb
from milepost.schema.compile import STAGE_COLUMNS, column_types

__all__ = ["Accepted", "Acceptor", "Rejected"]

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.ID_CHARACTERS_MAX)]
_Label = Annotated[str, msgspec.Meta(max_length=limits.LABEL_CHARACTERS_MAX)]
_Groups = Annotated[list[_Id], msgspec.Meta(max_length=limits.GROUPS_PER_ACTIVITY_MAX)]


class Object(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.LABEL_CHARACTERS_MAX)]
    id: _Id


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
    """One activity as a stage row, for a correction."""

    row: bytes
    id: int
    columns: str


class _NoVerb(msgspec.Struct, tag_field="verb", tag="\0"):
    """Makes the union a union even for a model of one verb, so that `verb` is always required."""


class Acceptor:
    """One for each model version; safe to share between tasks of one thread."""

    def __init__(self, model: Model, version: int) -> None:
        self.model = model
        self.version = version
        structs = tuple(_verb_struct(verb) for verb in model.verbs.values())
        activity: Any = functools.reduce(operator.or_, structs, _NoVerb)
        self._one = msgspec.json.Decoder(activity)
        body = msgspec.defstruct(
            "Body",
            [("activities", list[activity])],
            forbid_unknown_fields=True,
        )
        self._body: Any = msgspec.json.Decoder(body)
        self._raw_body = msgspec.json.Decoder(_RawBody)
        types = column_types(model)
        self.columns = ", ".join((*(name for name, _ in STAGE_COLUMNS), *types))
        self._column_count = len(STAGE_COLUMNS) + len(types)
        self._verbs = {verb.name: _VerbRows(verb, model, tuple(types)) for verb in model.verbs.values()}
        self._texts = _rows.TextCache()

    def accept(self, tenant_id: int, body: bytes, now: datetime, *, ndjson: bool = False) -> Accepted:
        """body: `{"activities": […]}`, or one activity a line. now: with a zone; stands in for a missing `occurred_at`."""
        items: list[Any]
        rejected: list[Rejected] = []
        if _suspicious(body):
            items = self._each(body, ndjson, rejected)
        else:
            try:
                items = self._one.decode_lines(body) if ndjson else self._body.decode(body).activities
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                items = self._each(body, ndjson, rejected)
        if len(items) > limits.ACTIVITIES_PER_REQUEST_MAX:
            raise TooLarge(
                f"{len(items)} activities in one request: at most {limits.ACTIVITIES_PER_REQUEST_MAX} fit.",
                limit=limits.ACTIVITIES_PER_REQUEST_MAX,
            )
        return self._batch(tenant_id, items, now, rejected)

    def correction(self, tenant_id: int, body: bytes, now: datetime, *, received_at: datetime, hash62: int) -> Encoded:
        """A corrected activity, which keeps its identity `hash62` and when it was first received. Raises InvalidInput."""
        rejected: list[Rejected] = []
        found = self._item(body, 0, rejected)
        batch: list[bytes] = []
        ids: list[int] = []
        if found is not None:
            self._encode(tenant_id, found, 0, now, received_at, batch, ids, rejected, hash62)
        if rejected:
            raise InvalidInput(
                "The activity would not be valid.",
                errors=tuple(FieldError(item.pointer, item.detail) for item in rejected),
            )
        return Encoded(row=b"".join(batch), id=ids[0], columns=self.columns)

    def _batch(self, tenant_id: int, items: list[Any], now: datetime, rejected: list[Rejected]) -> Accepted:
        rows: list[bytes] = []
        ids: list[int] = []
        ledger = False
        for index, item in enumerate(items):
            if item is not None:
                ledger |= self._encode(tenant_id, item, index, now, now, rows, ids, rejected, None)
        payload = b""
        if ids:
            header = _rows.Header(columns=self.columns, low=f"{min(ids):032x}", high=f"{max(ids):032x}", ledger=ledger)
            payload = _rows.seal_payload(header, b"".join(rows))
        rejected.sort(key=lambda item: item.index)
        return Accepted(rows=len(ids), rejected=tuple(rejected), payload=payload, ids=tuple(ids), model_version=self.version)

    def _encode(
        self,
        tenant_id: int,
        item: Any,
        index: int,
        now: datetime,
        received_at: datetime,
        rows: list[bytes],
        ids: list[int],
        rejected: list[Rejected],
        hash62: int | None,
    ) -> bool:
        """Append the item's row and id, or its rejection. True: it needs the ledger."""
        texts = self._texts
        verb = self._verbs[item.__struct_config__.tag]
        try:
            tail = verb.tail(item)
        except InvalidInput as error:
            rejected.extend(Rejected(index, field.pointer, field.detail) for field in error.errors)
            return False
        moment = item.occurred_at
        ledger = False
        if moment is None:
            moment = now
            ledger = item.key is not None
        elif moment - now > limits.FUTURE_MAX:
            detail = "more than 24 hours in the future"
            rejected.append(Rejected(index, "/occurred_at", detail))
            return False
        if moment < limits.AGE_MIN:
            rejected.append(Rejected(index, "/occurred_at", "before the year 2"))
            return False
        since = moment - YEAR_ONE
        us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        hashed = _rows.NULL
        if hash62 is not None:
            ledger = False
        elif item.key is None:
            hash62 = random_hash()
        else:
            digest = key_hash(tenant_id, item.source or "", item.key)
            hash62 = int.from_bytes(digest[:8], "big") & HASH_MASK
            if ledger:
                hashed = _rows.octets(digest)
        groups = item.groups
        if groups:
            groups = list(dict.fromkeys([item.group, *groups] if item.group else groups))
        first = groups[0] if groups else item.group
        identity = activity_id(us, hash62)
        null = _rows.NULL
        target = item.object
        rows.append(
            b"".join(
                (
                    _rows.pack_head(self._column_count, 16, identity.to_bytes(16, "big")),
                    hashed,
                    _rows.pack_times(8, us - _rows.POSTGRES_EPOCH_US, 8, microseconds(received_at) - _rows.POSTGRES_EPOCH_US),
                    texts[item.actor],
                    texts[first] if first else null,
                    _rows.text_array(groups[1:]) if groups and len(groups) > 1 else null,
                    _rows.int2(audience_of[item.visibility]),
                    verb.name,
                    texts[target.kind] if target else null,
                    texts[target.id] if target else null,
                    texts[item.source or ""],
                    texts[item.status or ""],
                    texts[item.key] if item.key is not None else null,
                    tail,
                )
            )
        )
        ids.append(identity)
        return ledger

    def _each(self, body: bytes, ndjson: bool, rejected: list[Rejected]) -> list[Any]:
        """Decode one by one, so that a mistake costs its own activity alone. None stands for a rejected one."""
        raws: list[Any]
        if ndjson:
            raws = [line for line in body.split(b"\n") if line.strip()]
        else:
            try:
                raws = self._raw_body.decode(body).activities
            except msgspec.ValidationError as error:
                pointer, detail = _explain(str(error))
                raise InvalidInput('The body is not {"activities": […]}.', errors=(FieldError(pointer, detail),)) from error
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InvalidInput("The body is not JSON.", errors=(FieldError("", str(error)),)) from error
            except RecursionError as error:
                raise InvalidInput("The body is nested too deeply.", errors=(FieldError("", "nested too deeply"),)) from error
        return [self._item(bytes(raw), index, rejected) for index, raw in enumerate(raws)]

    def _item(self, raw: bytes, index: int, rejected: list[Rejected]) -> Any | None:
        try:
            if _suspicious(raw):
                _check_storable(msgspec.json.decode(raw), "")
            return self._one.decode(raw)
        except InvalidInput as error:
            rejected.extend(Rejected(index, field.pointer, field.detail) for field in error.errors)
        except msgspec.ValidationError as error:
            pointer, detail = _explain(str(error))
            if pointer == "/verb" and detail.startswith("Invalid value"):
                detail = self._unknown_verb(detail)
            elif pointer == "" and "unknown field" in detail:
                name = detail.split("`")[1]
                pointer, detail = f"/{_escape(name)}", "is not a field of an activity"
            rejected.append(Rejected(index, pointer, detail))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            rejected.append(Rejected(index, "", f"not JSON: {error}"))
        except RecursionError:
            rejected.append(Rejected(index, "", "nested too deeply"))
        return None

    def _unknown_verb(self, detail: str) -> str:
        verb = detail.removeprefix("Invalid value ").strip("'")
        near = difflib.get_close_matches(verb, self._verbs, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{verb!r} is not a verb of the model{hint}"


class _RawBody(msgspec.Struct, forbid_unknown_fields=True):
    activities: list[msgspec.Raw]


def _verb_struct(verb: Verb) -> type[msgspec.Struct]:
    """The shape of one verb's activities, so that one pass in C checks types, bounds and names."""
    bound = limits.MEASURE_UNITS_MAX
    measures = [
        (
            measure.name,
            Annotated[
                float,
                msgspec.Meta(
                    ge=float(-bound / 10**measure.scale if measure.minimum is None else measure.minimum),
                    le=float(bound / 10**measure.scale if measure.maximum is None else measure.maximum),
                ),
            ]
            | None,
            None,
        )
        for measure in verb.measures.values()
    ]
    measure_struct = msgspec.defstruct(f"Measures_{verb.name}", measures, forbid_unknown_fields=True, gc=False)
    return msgspec.defstruct(
        f"Activity_{verb.name}",
        [
            ("actor", _Id),
            ("occurred_at", Annotated[datetime, msgspec.Meta(tz=True)] | None, None),
            ("key", _Id | None, None),
            ("object", Object | None, None),
            ("group", _Id | None, None),
            ("groups", _Groups | None, None),
            ("measures", measure_struct | None, None),
            ("data", msgspec.Raw, msgspec.Raw(b"null")),
            ("content", msgspec.Raw, msgspec.Raw(b"null")),
            ("visibility", Literal["public", "group", "private"], "group"),
            ("source", _Label | None, None),
            ("status", _Label | None, None),
        ],
        tag_field="verb",
        tag=verb.name,
        forbid_unknown_fields=True,
    )


class _VerbRows:
    """A verb's part of a stage row: `data`, `content`, and the model's columns."""

    def __init__(self, verb: Verb, model: Model, columns: tuple[str, ...]) -> None:
        self.name = _rows.octets(verb.name.encode())
        self.object = verb.object
        self.measures = {
            f"m_{measure.name}": (measure.name, 10**measure.scale, measure.scale == 0) for measure in verb.measures.values()
        }
        wanted = set(model.column_fields())
        self.fields = {f"d_{name}": declared for name, declared in verb.data.items() if name in wanted}
        self.columns = columns
        self.decoder = msgspec.json.Decoder(_data_struct(verb)) if verb.data else None

    def tail(self, item: Any) -> bytes:
        null = _rows.NULL
        if self.object is not None and item.object is not None and item.object.kind != self.object:
            _refuse("/object/kind", f"this verb is done to a {self.object}, not to a {item.object.kind}")
        data = bytes(item.data)
        if data == b"null":
            parts, declared = [null], None
        else:
            if data[:1] != b"{":
                _refuse("/data", "expected an object")
            parts, declared = [_rows.jsonb(data)], self._declared(item.data)
        content = bytes(item.content)
        parts.append(null if content == b"null" else _rows.jsonb(content))
        measures = item.measures
        for column in self.columns:
            if column in self.measures:
                name, factor, whole = self.measures[column]
                value = getattr(measures, name) if measures is not None else None
                if value is None:
                    parts.append(null)
                elif whole and not value.is_integer():
                    _refuse(f"/measures/{name}", f"expected an integer, got {value}")
                else:
                    parts.append(_rows.int8(round(value * factor)))
            elif declared is not None and column in self.fields:
                field = self.fields[column]
                parts.append(_field_value(field, getattr(declared, field.name)))
            else:
                parts.append(null)
        return b"".join(parts)

    def _declared(self, raw: msgspec.Raw) -> Any | None:
        if self.decoder is None:
            return None
        try:
            return self.decoder.decode(raw)
        except msgspec.ValidationError as error:
            pointer, detail = _explain(str(error))
            raise InvalidInput(errors=(FieldError("/data" + pointer, detail),)) from error


def _data_struct(verb: Verb) -> type[msgspec.Struct]:
    """The declared fields alone: others pass through unread."""
    bound = limits.MEASURE_UNITS_MAX
    number = Annotated[float, msgspec.Meta(ge=-bound, le=bound)]
    integer = Annotated[int, msgspec.Meta(ge=-bound, le=bound)]
    types: dict[str, Any] = {
        "text": Annotated[str, msgspec.Meta(max_length=limits.FIELD_CHARACTERS_MAX)],
        "integer": integer,
        "decimal": number,
        "boolean": bool,
        "time": Annotated[datetime, msgspec.Meta(tz=True)],
    }
    plain = dict(types, text=str)
    fields = [
        (name, ((types if declared.filter else plain)[declared.type]) | None, None) for name, declared in verb.data.items()
    ]
    return msgspec.defstruct(f"Data_{verb.name}", fields)


def _field_value(field: Field, value: Any) -> bytes:
    if value is None:
        return _rows.NULL
    match field.type:
        case "text":
            return _rows.octets(value.encode())
        case "integer":
            return _rows.int8(value)
        case "decimal":
            return _rows.int8(round(value * 10**field.scale))
        case "boolean":
            return _rows.boolean(value)
        case "time":
            return _rows.timestamp(microseconds(value.astimezone(UTC)))


def _refuse(pointer: str, detail: str) -> None:
    raise InvalidInput(errors=(FieldError(pointer, detail),))


# ── what PostgreSQL cannot store ──

_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")


def _suspicious(body: bytes) -> bool:
    """May the body hold what jsonb or text refuses: NUL, half a surrogate pair, a number of thousands of digits?

    A few scans at memory speed; what they find is then looked at properly.
    """
    if b"\\u0000" in body or b"\\ud" in body or b"\\uD" in body:
        return True
    plain = body.translate(_DIGITS)
    return b"e000" in plain or b"e+000" in plain or b"0" * 400 in plain


def _check_storable(value: Any, pointer: str) -> None:
    match value:
        case str():
            if "\0" in value:
                _refuse(pointer, "contains the character NUL (\\u0000), which cannot be stored")
        case dict():
            for name, inner in value.items():
                _check_storable(name, pointer)
                _check_storable(inner, f"{pointer}/{_escape(name)}")
        case list():
            for index, inner in enumerate(value):
                _check_storable(inner, f"{pointer}/{index}")
        case int() if not -(10**400) < value < 10**400:
            _refuse(pointer, "the number is too large")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


_EXPLANATION = re.compile(r"^(?P<detail>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def _explain(message: str) -> tuple[str, str]:
    """msgspec's message as (JSON pointer, sentence)."""
    match = _EXPLANATION.match(message)
    assert match is not None
    path = match["path"] or "$"
    pointer = "".join(f"/{_escape(name or index)}" for name, index in _STEP.findall(path))
    detail = match["detail"]
    missing = re.match(r"Object missing required field `(.+)`", detail)
    if missing:
        return f"{pointer}/{_escape(missing[1])}", "is required"
    unknown = re.match(r"Object contains unknown field `(.+)`", detail)
    if unknown and pointer:
        return f"{pointer}/{_escape(unknown[1])}", "is not declared in the model"
    return pointer, detail.replace("`", "").replace(" | null", "")
