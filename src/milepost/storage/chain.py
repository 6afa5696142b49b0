"""The chain: what became of a tenant's activities, link by link, so that nobody changes it afterwards unseen.

A link is made in the transaction that it is about: of a load, of corrections and retractions, of a removal by retention or an erasure. It
has the digest of each activity that it made (under a salt of its own), the ids of those that are gone, and the digest of the links before
it (`milepost.storage.chain_digests` has the formulas). A model without `chain` makes none, and pays nothing.

What is removed, erased or retracted takes its salts with it, of all its versions. Then its digests say nothing of what it was, and the
links are verified as before.

A tenant with a history gets links of what is there (`found`), from the oldest on, chunk by chunk between its loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from milepost.activity import SMALLEST_ID
from milepost.postgres import Connection, Jsonb, JsonText, load_queries
from milepost.schema.compile import CompiledModel, chain_content, chain_form

__all__ = ["Chain", "Gone", "chain_of", "forget_salts"]

queries = load_queries(__package__, "chain.sql")

Gone = Literal["moved", "retracted", "removed", "erased"]
Names = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The statements of a model."""

    loaded: str
    changed: str
    found: str
    found_cold: str

    async def load(
        self,
        conn: Connection,
        tenant_id: int,
        span: tuple[UUID, UUID],
        *,
        names: Mapping[Literal["actors", "groups"], Names],
        kept: bool,
        files: bool,
    ) -> None:
        """A link of what a load has put into the delta. span: the ids, both included. names: the numbers of all that it names.
        kept: whether some have their content in the object store. files: whether some name files."""
        values = _values(tenant_id, span, kind="made", why="loaded") | {"kept": kept, "files": files}
        values |= {
            "actor_names": Jsonb(_by_number(names["actors"])),
            "groups_names": Jsonb(_by_number(names["groups"])),
        }
        await conn.execute(self.loaded, values)

    async def change(
        self,
        conn: Connection,
        tenant_id: int,
        *,
        corrected: Sequence[UUID] = (),
        gone: Sequence[tuple[UUID, Gone]] = (),
        why: str,
    ) -> None:
        """A link of a correction or a removal, when all else of it is written: these ids of the delta are something else now, those are
        there no more."""
        span = (min(corrected), max(corrected)) if corrected else (SMALLEST_ID, SMALLEST_ID)
        values = _values(tenant_id, span, kind="corrected", why=why)
        values |= {"gone_ids": [id_ for id_, _ in gone], "gone_kinds": [how for _, how in gone]}
        await conn.execute(self.changed, values)

    async def find(self, conn: Connection, tenant_id: int, low: UUID, high: UUID, cold: Sequence[JsonText]) -> None:
        """Links of the activities from low on, below high, that no link is about yet. cold: those that are archived."""
        values = _values(tenant_id, (low, high), kind="found", why="found")
        await conn.execute(self.found, values)
        for rows in cold:
            await conn.execute(self.found_cold, {**values, "cold_rows": rows})


def chain_of(compiled: CompiledModel) -> Chain | None:
    """None: the model has no chain."""
    if not compiled.model.chain:
        return None
    base = queries.link.replace("{content}", chain_content())
    named = base.replace("{form}", chain_form(compiled.columns))
    found = named.replace("{gone}", "")
    return Chain(
        loaded=base.replace("{form}", chain_form(compiled.columns, given=True))
        .replace("{gone}", "")
        .replace("{rows}", queries.loaded_rows),
        changed=named.replace("{gone}", queries.gone).replace("{rows}", queries.loaded_rows),
        found=found.replace("{rows}", queries.found_rows.replace("{unknown}", queries.unknown)),
        found_cold=found.replace("{rows}", queries.found_cold_rows.replace("{unknown}", queries.unknown)),
    )


def _values(
    tenant_id: int, span: tuple[UUID, UUID], *, kind: Literal["made", "found", "corrected"], why: str
) -> dict[str, Any]:
    asked = {"tenant_id": tenant_id, "low": span[0], "high": span[1], "kind": kind, "why": why}
    return asked | {"kept": True, "files": True}


def _by_number(names: Names) -> dict[str, str]:
    return {str(number): name for name, number in names.items()}


async def forget_salts(conn: Connection, tenant_id: int, ids: Sequence[UUID]) -> None:
    """Activities that go for good, by their current ids, before these are buried. Also where the model has no chain any more."""
    await conn.execute(queries.forget_salts, {"tenant_id": tenant_id, "ids": list(ids)})
