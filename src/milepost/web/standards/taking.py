"""From messages to what the queue takes: mapped, checked, and what was wrong with the others. No I/O; runs in either thread.

Each message stands alone: one that cannot be mapped, encoded or accepted is refused with its index, a pointer and a sentence, and
the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from milepost.errors import TooLarge
from milepost.intake.accept import Accepted, Acceptor
from milepost.intake.fault import storable
from milepost.intake.mapped import Mapped, Unmapped
from milepost.limits import ACTIVITIES_PER_REQUEST_MAX
from milepost.mapping.paths import Unfit

__all__ = ["Refused", "Taken", "raw_of", "take"]

VALUE_CHARACTERS_MAX = 80  # of the value at fault, as it is shown

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Refused(msgspec.Struct, frozen=True):
    """index: of the message in its request. pointer: into the message where nothing takes it, else into what it becomes; `detail` says then
    of which members of the message."""

    index: int
    pointer: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Taken:
    """accepted: None where no message became an activity. commands: `mapped` ones, encoded. dropped: as the model wants it."""

    messages: int
    accepted: Accepted | None
    commands: list[bytes] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    dropped: int = 0
    model_version: int

    @property
    def activities(self) -> int:
        return self.accepted.rows if self.accepted is not None else 0


def take(mapped: Mapped, acceptor: Acceptor, tenant_id: int, rows: Sequence[Any], now: datetime) -> Taken:
    """rows: the messages; what is no object is refused, and so is what a reader has already refused. Raises `TooLarge` where there are too many."""
    if len(rows) > ACTIVITIES_PER_REQUEST_MAX:
        limit = ACTIVITIES_PER_REQUEST_MAX
        raise TooLarge(f"{len(rows)} messages in one request: at most {limit} fit.", limit=limit)
    activities: list[bytes] = []
    origins: list[int] = []
    commands: list[bytes] = []
    refused: list[Refused] = []
    dropped = 0
    for index, row in enumerate(rows):
        if isinstance(row, Refused):
            refused.append(_refused(index, row.pointer, row.detail))
            continue
        try:
            made = mapped.make(row)
            if made.activity is not None:
                encoded = _encode(made.activity)
            if made.commands:
                commands.append(_command(mapped, made.key, row, made.commands))
        except Unmapped as unmapped:
            if mapped.unmapped == "drop":
                dropped += 1
            else:
                refused.append(_refused(index, unmapped.pointer, unmapped.rule))
            continue
        except Unfit as unfit:
            shown = "" if unfit.value is None else f": {ascii(unfit.value)[:VALUE_CHARACTERS_MAX]}"
            refused.append(_refused(index, unfit.pointer, f"{unfit.rule}{shown}"))
            continue
        except UnicodeEncodeError:
            refused.append(_refused(index, "", "contains half of a surrogate pair, which cannot be stored"))
            continue
        except RecursionError:
            refused.append(_refused(index, "", "nested too deeply"))
            continue
        if made.activity is not None:
            activities.append(encoded)
            origins.append(index)
    accepted = None
    if activities:
        accepted = acceptor.accept(tenant_id, b'{"activities":[' + b",".join(activities) + b"]}", now)
        refused += [_refused(origins[one.index], one.pointer, one.detail) for one in accepted.rejected]
        refused.sort(key=lambda one: one.index)
    return Taken(
        messages=len(rows),
        accepted=accepted,
        commands=commands,
        refused=refused,
        dropped=dropped,
        model_version=acceptor.version,
    )


def _refused(index: int, pointer: str, detail: str) -> Refused:
    """What is quoted may be no text that can be sent."""
    return Refused(index, storable(pointer), storable(detail))


def raw_of(row: Any) -> bytes:
    """A message as JSON in ASCII: half of a surrogate pair is kept as it was escaped."""
    return json.dumps(row, default=str).encode()


def _command(mapped: Mapped, key: str | None, row: Any, commands: list[dict[str, Any]]) -> bytes:
    do = {"do": "mapped", "via": mapped.standard.name, "message": row, "commands": commands}
    return _encode(do if key is None else {**do, "key": key})
