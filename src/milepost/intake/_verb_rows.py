"""One verb's activities: their shape, which one pass in C checks, and their part of a row.

How it fails: what the shape does not say is `InvalidInput` with the field's pointer; msgspec's own messages become such with `explain`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from milepost import limits
from milepost.activity import AUDIENCES, audience_of, microseconds
from milepost.errors import FieldError, InvalidInput
from milepost.intake import _rows
from milepost.intake._named_files import files_struct
from milepost.intake._storable import escape, refuse
from milepost.model import Content, Field, Model, Verb
from milepost.schema.compile import RowColumns

__all__ = ["VerbRows", "data_struct", "explain", "verb_struct"]

_YEARS_END_US = microseconds(datetime.max.replace(tzinfo=UTC)) + 1
_AUDIENCES = {name: _rows.int2(number) for name, number in audience_of.items()}
KINDS_KEPT_MAX = 1000  # encoded kinds of objects, a verb

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.ID_CHARACTERS_MAX)]
_Label = Annotated[str, msgspec.Meta(max_length=limits.LABEL_CHARACTERS_MAX)]
_Groups = Annotated[list[_Id], msgspec.Meta(max_length=limits.GROUPS_PER_ACTIVITY_MAX)]


class Object(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.LABEL_CHARACTERS_MAX)]
    id: _Id


def verb_struct(verb: Verb) -> type[msgspec.Struct]:
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
            *([("files", files_struct(verb) | None, None)] if verb.files else ()),
        ],
        tag_field="verb",
        tag=verb.name,
        forbid_unknown_fields=True,
        gc=False,  # trees cannot be cyclic: the collector need not walk thousands of them
    )


class VerbRows:
    """A verb's part of a row: what it is done to, `data`, `content`, and the model's columns."""

    def __init__(self, verb: Verb, model: Model, row: RowColumns) -> None:
        self.object = verb.object
        self.large_over = (verb.content or Content()).offload_over  # bytes of content
        self.files = bool(verb.files)
        # Rows whose `others` are longer are looked at once more; all, where they may name files.
        self.look_over = -1 if self.files else self.large_over
        self._name = _rows.octets(verb.name.encode())
        self._middles: dict[tuple[str, str | None], bytes] = {}
        self._read = _steps(verb, row.read)
        self._others = _steps(verb, row.others)
        self.decoder = msgspec.json.Decoder(data_struct(verb, set(model.indexed_fields()))) if verb.data else None

    def middle(self, visibility: str, target: Object | None) -> bytes:
        """From `more_groups` (NULL here) to `object_kind`: few combinations, each encoded once."""
        kind = None if target is None else target.kind
        found = self._middles.get((visibility, kind))
        if found is None:
            if kind is not None and self.object is not None and kind != self.object:
                refuse("/object/kind", f"this verb is done to objects of kind {self.object}, not {kind}")
            if len(self._middles) >= KINDS_KEPT_MAX:
                self._middles.clear()
            found = _rows.NULL + _AUDIENCES[visibility] + self._name + (_rows.NULL if kind is None else _rows.text(kind))
            self._middles[visibility, kind] = found
        return found

    def own(self, item: Any) -> tuple[bytes, bytes]:
        """The model's columns that something derived reads; and `data`, `content` and the model's other columns."""
        data, content, measures = bytes(item.data), bytes(item.content), item.measures
        declared = None
        if data == b"null":
            others = [_rows.NULL]
        else:
            if data[:1] != b"{":
                refuse("/data", "expected an object")
            others = [_rows.jsonb(data)]
            declared = self._declared(item.data)
        others.append(_rows.NULL if content == b"null" else _rows.jsonb(content))
        read: list[bytes] = []
        _take(self._read, measures, declared, read)
        _take(self._others, measures, declared, others)
        return b"".join(read), b"".join(others)

    def _declared(self, raw: msgspec.Raw) -> Any | None:
        if self.decoder is None:
            return None
        try:
            return self.decoder.decode(raw)
        except msgspec.ValidationError as error:
            pointer, detail = explain(str(error))
            raise InvalidInput(errors=(FieldError("/data" + pointer, detail),)) from error


# One step a column, in their order; columns of other verbs are NULL, and neighbours among them one step.
_Steps = list[bytes | Field | tuple[str, int]]


def _steps(verb: Verb, columns: tuple[str, ...]) -> _Steps:
    measures = {f"m_{name}": measure for name, measure in verb.measures.items()}
    fields = {f"d_{name}": declared for name, declared in verb.data.items()}
    steps: _Steps = []
    for column in columns:
        measure = measures.get(column)
        step = (measure.name, 10**measure.scale) if measure else fields.get(column) or _rows.NULL
        if isinstance(step, bytes) and steps and isinstance(steps[-1], bytes):
            steps[-1] += step
        else:
            steps.append(step)
    return steps


def _take(steps: _Steps, measures: Any, declared: Any, parts: list[bytes]) -> None:
    for step in steps:
        if type(step) is tuple:
            name, units = step
            value = None if measures is None else getattr(measures, name)
            if value is None:
                parts.append(_rows.NULL)
            elif units != 1:
                parts.append(_rows.int8(round(value * units)))
            elif value.is_integer():
                parts.append(_rows.int8(int(value)))
            else:
                refuse(f"/measures/{name}", f"expected an integer, got {value}")
        elif type(step) is bytes:
            parts.append(step)
        else:
            assert isinstance(step, Field)
            parts.append(_field_value(step, None if declared is None else getattr(declared, step.name)))


def data_struct(verb: Verb, indexed: set[str]) -> type[msgspec.Struct]:
    """The declared fields alone: others pass through unread. A text that is indexed must fit an index entry."""
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
        (name, ((types if name in indexed else plain)[declared.type]) | None, None) for name, declared in verb.data.items()
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
            us = microseconds(value)
            if not 0 <= us < _YEARS_END_US:  # an offset leads out of them
                refuse(f"/data/{escape(field.name)}", "must be between the years 1 and 9999 in UTC")
            return _rows.timestamp(us)


_EXPLANATION = re.compile(r"^(?P<detail>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def explain(message: str, *, unknown: str | None = None) -> tuple[str, str]:
    """msgspec's message as (JSON pointer, sentence). unknown: what to say of a name that there is not; None: it is of an activity."""
    match = _EXPLANATION.match(message)
    assert match is not None
    path = (match["path"] or "$").split("[...]")[0].split(".[")[0]  # msgspec does not say where in a dict or list of any
    pointer = "".join(f"/{escape(name or index)}" for name, index in _STEP.findall(path))
    detail = match["detail"]
    missing = re.match(r"Object missing required field `(.+)`", detail)
    if missing:
        return f"{pointer}/{escape(missing[1])}", "is required"
    extra = re.match(r"Object contains unknown field `(.+)`", detail)
    if extra:
        declared = pointer in ("/measures", "/files") or f"{pointer}/{extra[1]}" == "/files"
        said = "is not declared in the model" if declared else "is not a field of an activity"
        return f"{pointer}/{escape(extra[1])}", unknown or said
    if pointer == "/visibility" and detail.startswith("Invalid enum value "):
        return pointer, f"{detail.removeprefix('Invalid enum value ')} is not one of {', '.join(AUDIENCES)}"
    return pointer, detail.replace("`", "").replace(" | null", "")
