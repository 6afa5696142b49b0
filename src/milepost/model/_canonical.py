"""A model as canonical JSON, and hashes of it: equal exactly when two texts declare the same, however they
are written.

Order of sections and keys, comments and blanks do not count. The order of a rollup's `by` and `values` does,
because columns follow it; that of verbs and buckets does not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import date, time
from typing import Any

from milepost.model._phrases import type_text
from milepost.model._types import Board, Latest, Model, Pair, Pending, Rollup, Value

__all__ = ["definition_hash", "model_fingerprint", "to_json"]

_ORDERLESS = frozenset({"of", "per", "windows", "within", "scores", "open", "close", "done", "filters", "at_end_of"})


def to_json(model: Model) -> str:
    """The model as one line of JSON in ASCII, keys sorted: the same text for the same model, on every
    machine.
    """
    return _json(_plain(model))


def model_fingerprint(model: Model) -> str:
    """SHA-256 of `to_json`, 64 hexadecimal digits."""
    return hashlib.sha256(to_json(model).encode()).hexdigest()


def definition_hash(derived: Rollup | Latest | Pair | Board | Pending, model: Model) -> str:
    """SHA-256 of all that decides the stored rows of one derived thing; when it changes, they are to be
    filled again.

    Beside its own declaration these are the scales of its measures, the types of its data fields, the dates
    of its terms and, where it has buckets, the model's time zone.
    """
    declared = _plain(derived)
    if isinstance(derived, Board):  # what is kept of it from time to time decides nothing of its rows
        del declared["snapshots"]
    names = {name for text in _strings(declared) for name in (text, text.removeprefix("data."))}
    measures, fields = model.measures(), model.fields()
    buckets = derived.per if isinstance(derived, Rollup) else derived.windows if isinstance(derived, Board) else ()
    depends = {
        "kind": type(derived).__name__.lower(),
        "declared": declared,
        "measures": {name: measures[name].scale for name in names & measures.keys()},
        "fields": {name: type_text(fields[name].type, fields[name].scale) for name in names & fields.keys()},
        "terms": {name: _plain(model.terms[name]) for name in set(buckets) & model.terms.keys()},
        "time_zone": model.time_zone if buckets else None,
    }
    return hashlib.sha256(_json(depends).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Frozen values as what JSON has; a `Value` as its text, which says all of it."""
    if isinstance(value, Value):
        return {"text": value.text, "arguments": list(value.arguments)}
    if dataclasses.is_dataclass(value):
        plain = {part.name: _plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
        return {key: sorted(inner) if key in _ORDERLESS and inner else inner for key, inner in plain.items()}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date | time) else value


def _strings(plain: Any) -> set[str]:
    if isinstance(plain, str):
        return {plain}
    inner = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    return {text for part in inner for text in _strings(part)}


def _json(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
