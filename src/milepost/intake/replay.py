"""Replay and discard: what people do about dead letters.

A replay takes letters out of their table and puts them into the queue in one transaction: whichever process dies, and however
many replay the same at once, each letter goes once. Activities that were accepted under an older model are accepted anew under
the current one, with the ids and times they have, so that a letter that was loaded meanwhile (its client sent it again) counts
once; what the current model does not take stays a letter, with what is wrong. Raw input is mapped anew.

A discard says why, and both are logged (`log`) in the same transaction. Large ones go in steps, each of them complete.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from milepost import faults
from milepost.errors import DatabaseError
from milepost.intake._again import Again, again
from milepost.intake._tables import for_table
from milepost.intake.accept import Acceptor
from milepost.intake.dead_letters import LetterKind
from milepost.intake.fault import storable
from milepost.intake.letters import Letter, Selection, scales_for
from milepost.model import Model
from milepost.postgres import Connection, Database, Jsonb, load_queries

__all__ = ["Done", "discard", "replay"]

_queries = load_queries(__package__, "dead_letters.sql")

LETTERS_PER_STEP_MAX = 500
BYTES_PER_STEP_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Done:
    """letters, rows: that were replayed or discarded. batches: those they were put into. kept: rows the current model refuses."""

    letters: int = 0
    rows: int = 0
    batches: tuple[int, ...] = ()
    kept: int = 0


async def replay(db: Database, tenant_id: int, selection: Selection, *, model: Model, version: int, by: str) -> Done:
    """Put the selected letters into the queue again. by: who says so. Nothing selected: nothing done."""
    acceptor = Acceptor(model, version)
    done = Done()
    after = 0
    up_to = await _newest(db, tenant_id)
    while True:
        async with db.transaction("write", tenant_id=tenant_id) as conn:
            letters = await _take(conn, tenant_id, selection, after, up_to)
            if not letters:
                return done
            results = []
            for letter in letters:
                scales = {}
                if letter.kind == LetterKind.ACTIVITIES and letter.model != version:
                    scales = await scales_for(conn, letter)
                results.append(await asyncio.to_thread(again, letter, acceptor, tenant_id, scales))
            batches = await _queue(conn, tenant_id, version, results)
            await _keep(conn, letters, results)
            kept = sum(one.rows_kept for one in results)
            rows = sum(letter.rows for letter in letters) - kept
            gone = [letter for letter, one in zip(letters, results, strict=True) if one.rows_kept < letter.rows]
            if gone:
                await _log(conn, tenant_id, gone, done="replayed", by=by, reason=None, rows=rows, batches=batches)
            faults.reach("replay.before_commit")
        faults.reach("replay.after_commit")
        after = max(letter.letter_id for letter in letters)
        done = Done(
            letters=done.letters + len(gone),
            rows=done.rows + rows,
            batches=(*done.batches, *batches),
            kept=done.kept + kept,
        )


async def discard(db: Database, tenant_id: int, selection: Selection, *, by: str, reason: str) -> Done:
    """Throw the selected letters away. reason: why, for the log; not empty."""
    done = Done()
    after = 0
    up_to = await _newest(db, tenant_id)
    while True:
        async with db.transaction("write", tenant_id=tenant_id) as conn:
            letters = await _take(conn, tenant_id, selection, after, up_to)
            if not letters:
                return done
            rows = sum(letter.rows for letter in letters)
            await _log(conn, tenant_id, letters, done="discarded", by=by, reason=storable(reason), rows=rows, batches=())
        after = max(letter.letter_id for letter in letters)
        done = Done(letters=done.letters + len(letters), rows=done.rows + rows)


async def _newest(db: Database, tenant_id: int) -> int:
    async with db.transaction("point", tenant_id=tenant_id) as conn:
        row = await (await conn.execute(_queries.newest, {"tenant_id": tenant_id})).fetchone()
    return row[0] if row else 0


async def _take(conn: Connection, tenant_id: int, selection: Selection, after: int, up_to: int) -> list[Letter]:
    values = {
        **selection.values(tenant_id),
        "after": after,
        "up_to": up_to,
        "limit": LETTERS_PER_STEP_MAX,
        "bytes_max": BYTES_PER_STEP_MAX,
    }
    cursor = await conn.execute(_queries.take, values, binary=True)
    return sorted((Letter.of(tenant_id, row) for row in await cursor.fetchall()), key=lambda letter: letter.letter_id)


async def _log(
    conn: Connection,
    tenant_id: int,
    letters: Sequence[Letter],
    *,
    done: str,
    by: str,
    reason: str | None,
    rows: int,
    batches: Sequence[int],
) -> None:
    errors: Counter[str] = Counter()
    for letter in letters:
        errors[letter.error_class] += letter.rows
    values = {
        "tenant_id": tenant_id,
        "done": done,
        "by": storable(by),
        "reason": reason,
        "letters": [letter.letter_id for letter in letters],
        "rows": rows,
        "errors": Jsonb(dict(errors)),
        "batches": list(batches),
    }
    await conn.execute(_queries.log, values)


async def _queue(conn: Connection, tenant_id: int, version: int, results: Sequence[Again]) -> list[int]:
    state = await (await conn.execute(_queries.queue_state)).fetchone()
    row = await (await conn.execute(_queries.lane, {"tenant_id": tenant_id})).fetchone()
    if state is None or row is None:
        raise DatabaseError("The queue has no tables yet, or the tenant no lane: run `milepost db migrate`.")
    statement, batches = for_table(_queries.queue_again, state[0]), []
    for one in results:
        for kind, rows, payload, received_at in one.batches:
            values = {
                "lane": row[0],
                "tenant_id": tenant_id,
                "kind": int(kind),
                "model": version,
                "rows": rows,
                "received_at": received_at,
                "payload": payload,
            }
            inserted = await (await conn.execute(statement, values)).fetchone()
            assert inserted is not None
            batches.append(inserted[0])
    return batches


async def _keep(conn: Connection, letters: Sequence[Letter], results: Sequence[Again]) -> None:
    for letter, one in zip(letters, results, strict=True):
        for number, (first, rows, fault) in enumerate(one.kept):
            values = {
                "tenant_id": letter.tenant_id,
                "letter_id": letter.letter_id if number == 0 else None,
                "batch_id": letter.batch_id,
                "kind": int(letter.kind),
                "model": letter.model,
                "first_row": letter.first_row + first,
                "rows": rows,
                "batch_rows": letter.batch_rows,
                "received_at": letter.received_at,
                "via": letter.via,
                "tries": letter.tries + 1,
                "first_failed_at": letter.first_failed_at,
                "error_class": fault.error_class,
                "error": fault.error,
                "facts": Jsonb(fault.facts),
                "payload": letter.part(first, rows),
            }
            await conn.execute(_queries.keep, values)
