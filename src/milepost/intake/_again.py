"""What becomes of a dead letter when it is replayed: batches for the queue, and what the current model does not take.

No I/O: a large letter is a thread's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import structs

from milepost.activity import HASH_MASK
from milepost.errors import InvalidInput, MilepostError
from milepost.intake import _rows
from milepost.intake._load_rows import joined
from milepost.intake.accept import Acceptor
from milepost.intake.as_sent import Sent, activities_of
from milepost.intake.dead_letters import LetterKind
from milepost.intake.fault import Fault, fault_of, storable
from milepost.intake.letters import Letter
from milepost.intake.mapped import Mapped
from milepost.mapping.paths import Unfit
from milepost.mapping.standards import STANDARDS

__all__ = ["Again", "again"]

_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, kw_only=True)
class Again:
    """What becomes of a letter: batches for the queue (kind, rows, payload, and when it was received where that counts), and what
    stays of it (first row, rows, fault).
    """

    batches: tuple[tuple[LetterKind, int, bytes, datetime | None], ...] = ()
    kept: tuple[tuple[int, int, Fault], ...] = ()

    @property
    def rows_kept(self) -> int:
        return sum(rows for _, rows, _ in self.kept)


def again(letter: Letter, acceptor: Acceptor, tenant_id: int, scales: Mapping[str, int]) -> Again:
    """acceptor: of the current model. scales: decimal places by measure, as the letter's payload has them."""
    try:
        if letter.kind == LetterKind.RAW:
            return _mapped(letter, acceptor, tenant_id)
        if letter.kind == LetterKind.ACTIVITIES and letter.model != acceptor.version:
            return _accepted(letter, acceptor, tenant_id, scales)
    except MilepostError as error:
        return Again(kept=((0, letter.rows, fault_of(error)),))
    except ValueError:
        pass  # what cannot be read goes as it is: it may be the reader that was mended
    received_at = letter.received_at if letter.kind == LetterKind.COMMAND else None
    return Again(batches=((letter.kind, letter.rows, letter.payload, received_at),))


def _accepted(letter: Letter, acceptor: Acceptor, tenant_id: int, scales: Mapping[str, int]) -> Again:
    """Each activity under the current model: neighbours that are refused for the same reason stay together."""
    taken: list[_rows.Payload] = []
    kept: list[tuple[int, int, Fault]] = []
    for index, sent in enumerate(activities_of(letter.payload, scales)):
        try:
            taken.append(_row(sent, acceptor, tenant_id))
        except InvalidInput as error:
            fault = fault_of(error)
            if kept and kept[-1][0] + kept[-1][1] == index and kept[-1][2] == fault:
                kept[-1] = (kept[-1][0], kept[-1][1] + 1, fault)
            else:
                kept.append((index, 1, fault))
    if not taken:
        return Again(kept=tuple(kept))
    payload = _rows.seal_payload(joined(taken, tenant_id))
    return Again(batches=((LetterKind.ACTIVITIES, len(taken), payload, None),), kept=tuple(kept))


def _row(sent: Sent, acceptor: Acceptor, tenant_id: int) -> _rows.Payload:
    """One row with the identity that the activity has, as it was given by the client or by us."""
    encoded = acceptor.correction(
        tenant_id, _encode(sent.activity), datetime.now(sent.received_at.tzinfo), received_at=sent.received_at,
        hash62=sent.id.int & HASH_MASK,
    )  # fmt: skip
    assert UUID(int=encoded.id) == sent.id
    payload = encoded.payload
    if sent.key_hash is not None:
        payload = replace(payload, header=structs.replace(payload.header, keys={0: sent.key_hash.hex()}))
    return payload


def _mapped(letter: Letter, acceptor: Acceptor, tenant_id: int) -> Again:
    """Raw input through the current model's map, as if it came now; a missing time is when it was received."""
    standard = STANDARDS.get(letter.via or "")
    if standard is None:
        raise InvalidInput(f"Nothing here knows how to read what came by {letter.via!r}.")
    batches: list[tuple[LetterKind, int, bytes, datetime | None]] = []
    try:
        message = msgspec.json.decode(letter.payload)
        made = Mapped(standard, acceptor.model).make(message)
    except Unfit as unfit:
        fault = Fault(
            error_class="mapping",
            error=storable(f"{unfit.pointer or 'the message'}: {unfit.rule}"),
            facts={"errors": [{"pointer": unfit.pointer, "detail": storable(unfit.rule)}]},
        )
        return Again(kept=((0, 1, fault),))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Again(kept=((0, 1, Fault(error_class="mapping", error=storable(f"not JSON: {error}"))),))
    if made.commands:
        command = {"do": "mapped", "via": standard.name, "message": message, "commands": made.commands}
        payload = _encode(command if made.key is None else {**command, "key": made.key})
        batches.append((LetterKind.COMMAND, 1, payload, letter.received_at))
    if made.activity is not None:
        body = b'{"activities":[' + _encode(made.activity) + b"]}"
        accepted = acceptor.accept(tenant_id, body, letter.received_at)
        if accepted.rejected:
            errors = [{"pointer": one.pointer, "detail": storable(one.detail)} for one in accepted.rejected]
            named = "; ".join(f"{one['pointer']}: {one['detail']}" for one in errors)
            return Again(kept=((0, 1, Fault(error_class="model", error=named, facts={"errors": errors})),))
        batches.append((LetterKind.ACTIVITIES, 1, accepted.payload, None))
    return Again(batches=tuple(batches))
