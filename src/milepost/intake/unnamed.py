"""A payload without what is of one actor, told by a predicate on names: for dead letters, which outlive an erasure.

Of activities, the actor's rows go, and its name leaves the list of names. A command or raw input that has the name anywhere goes as a whole:
half of it would be another one. Raises ValueError for what cannot be read: whether the name is in it, nobody can say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from backports import zstd

from milepost.intake import _rows
from milepost.intake._cut import fields_of

__all__ = ["Left", "without"]

ACTIVITIES = 0
NOBODY = "(erased)"


@dataclass(frozen=True, kw_only=True)
class Left:
    """rows: 0 where nothing is left."""

    payload: bytes
    rows: int


NOTHING = Left(payload=b"", rows=0)


def without(kind: int, payload: bytes, is_meant: Callable[[str], bool]) -> Left | None:
    """None: it does not have the name."""
    try:
        if kind == ACTIVITIES:
            return _of_activities(_rows.open_payload(payload), is_meant)
        return NOTHING if _names(msgspec.json.decode(payload), is_meant) else None
    except (zstd.ZstdError, msgspec.MsgspecError) as error:
        raise ValueError(f"the payload cannot be read: {error}") from error


def _of_activities(opened: _rows.Payload, is_meant: Callable[[str], bool]) -> Left | None:
    places = {place for place, name in enumerate(opened.header.actors) if is_meant(name)}
    if not places:
        return None
    at = opened.header.columns.split(", ").index("actor_id")
    ends = [0, *opened.ends()]
    kept = []
    for row in range(len(ends) - 1):
        field = fields_of(opened.rows[ends[row] : ends[row + 1]])[at]
        if field is None or int.from_bytes(field, "big", signed=True) not in places:
            kept.append(row)
    if not kept:
        return NOTHING
    header = msgspec.structs.replace(
        opened.header,
        actors=[NOBODY if place in places else name for place, name in enumerate(opened.header.actors)],
        keys={new: opened.header.keys[row] for new, row in enumerate(kept) if row in opened.header.keys},
        large=[new for new, row in enumerate(kept) if row in opened.header.large],
        files={new: opened.header.files[row] for new, row in enumerate(kept) if row in opened.header.files},
    )
    rows = b"".join(bytes(opened.rows[ends[row] : ends[row + 1]]) for row in kept)
    lengths, splits = (type(numbers)("I", [numbers[row] for row in kept]) for numbers in (opened.lengths, opened.splits))
    sealed = _rows.seal_payload(_rows.Payload(header=header, lengths=lengths, splits=splits, rows=rows))
    return Left(payload=sealed, rows=len(kept))


def _names(value: Any, is_meant: Callable[[str], bool]) -> bool:
    match value:
        case str():
            return is_meant(value)
        case dict():
            return any(is_meant(name) or _names(one, is_meant) for name, one in value.items())
        case list():
            return any(_names(one, is_meant) for one in value)
        case _:
            return False
