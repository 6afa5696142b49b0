"""The links of a chain, recomputed: each from its blocks and the links that it names, in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from milepost.access.tenants import Tenant
from milepost.postgres import Database, load_queries
from milepost.storage.chain_digests import before_all, block_digest, earlier, link_digest, since_1970_us
from milepost.storage.chain_head import Head, head_holds

__all__ = ["Links", "Outcome"]

queries = load_queries(__package__, "chain_verify.sql")

BLOCKS_AT_ONCE = 200  # some 1.2 MB
LINKS_AT_ONCE = 1_000


class Outcome(Protocol):
    """What is told of, such as a `ChainVerification`."""

    links: int
    last_link: int
    entries: dict[str, int]

    def note(self, kind: str, detail: str, *, link: int | None = None, id: UUID | None = None) -> None: ...


class Links:
    """Of one tenant. head: one that the chain must lead to."""

    def __init__(self, db: Database, tenant: Tenant, outcome: Outcome, head: Head | None) -> None:
        self._db = db
        self._tenant = {"tenant_id": tenant.tenant_id}
        self._name = tenant.name
        self._outcome = outcome
        self._head = head
        self._known: dict[int, bytes] = {}  # digests of links that one to come may name
        self._blocks: list[tuple[Any, ...]] = []  # that were read and not taken
        self._place = (0, 0)  # of the last that was read

    async def verify(self, after: int, on_progress: Callable[[str], None]) -> None:
        """The links after that one, which is taken as it is."""
        await self._check_head()
        await self._begin(after)
        number = after
        last = self._outcome.last_link
        while number < last:
            on_progress(f"{self._name}: link {number + 1} of {last}")
            values = {**self._tenant, "after": number, "last": last, "most": LINKS_AT_ONCE}
            async with self._db.transaction("analytics", tenant_id=self._tenant["tenant_id"]) as conn:
                rows = await (await conn.execute(queries.links, values)).fetchall()
            if not rows:
                self._outcome.note("link", f"The links from {number + 1} on are missing.", link=number + 1)
                return
            for found, made_at, why, digest in rows:
                if found != number + 1:
                    self._outcome.note("link", f"{found - 1 - number} links are missing from {number + 1} on.", link=number + 1)
                    await self._begin(found - 1)
                await self._link(found, made_at, why, bytes(digest))
                number = found

    async def _check_head(self) -> None:
        head = self._head
        if head is None:
            return
        async with self._db.transaction("analytics") as conn:
            if head.tenant != self._name or not await head_holds(conn, head):
                self._outcome.note("head", "The head is not one that this deployment gave, or was changed.", link=head.link)
        if head.link > self._outcome.last_link:
            detail = f"The chain ends with link {self._outcome.last_link}, before the head's: what came after it is missing."
            self._outcome.note("head", detail, link=head.link)

    async def _begin(self, after: int) -> None:
        """Take the links that those after this one name as they stand."""
        self._blocks, self._place = [], (after, 1 << 30)
        numbers, at = [], after
        while at > 0:
            numbers.append(at)
            at = earlier(at)
        self._known = {0: before_all(self._name)}
        if numbers:
            async with self._db.transaction("analytics", tenant_id=self._tenant["tenant_id"]) as conn:
                rows = await (await conn.execute(queries.link_digests, {**self._tenant, "numbers": numbers})).fetchall()
            self._known |= {number: bytes(digest) for number, digest in rows}

    async def _link(self, number: int, made_at: datetime, why: str, stored: bytes) -> None:
        outcome, digests = self._outcome, b""
        async for place, kind, entries, digest, raw, well in self._of_link(number):
            again = block_digest(kind, bytes(raw))
            outcome.entries[kind] = outcome.entries.get(kind, 0) + entries
            if again != bytes(digest):
                outcome.note("block", f"Block {place} of link {number} ({kind}) is not what was made.", link=number)
            elif not well:
                outcome.note("block", f"Block {place} of link {number} is not found where its ids are looked for.", link=number)
            digests += again
        previous, before = (self._known.get(one) for one in (number - 1, earlier(number)))
        digest = stored  # where one that it names is missing, which was told of
        if previous is not None and before is not None:
            digest = link_digest(previous, before, number, since_1970_us(made_at), why, sha256(digests).digest())
        if digest != stored:
            outcome.note("link", f"Link {number} is not what was made.", link=number)
        if self._head is not None and number == self._head.link and digest.hex() != self._head.digest:
            detail = f"The chain does not lead to the head that was kept: up to link {number} it was made otherwise."
            outcome.note("head", detail, link=number)
        outcome.links += 1
        # Those to come are compared as if this one were right, so that one change is told of once.
        self._known[number] = stored
        lead, at = {0, number}, number
        while at > 0:
            at = earlier(at)
            lead.add(at)
        self._known = {one: known for one, known in self._known.items() if one in lead}

    async def _of_link(self, number: int) -> Any:
        """The blocks of a link, in order, those of links that are not there on the way told of."""
        while True:
            if not self._blocks:
                await self._read()
                if not self._blocks:
                    return
            link, *block = self._blocks[0]
            if link > number:
                return
            self._blocks.pop(0)
            if link < number:
                self._outcome.note("block", f"A block is there of link {link}, which is not.", link=link)
                continue
            yield block

    async def _read(self) -> None:
        link, place = self._place
        values = {**self._tenant, "link": link, "place": place, "last": self._outcome.last_link, "most": BLOCKS_AT_ONCE}
        async with self._db.transaction("analytics", tenant_id=self._tenant["tenant_id"]) as conn:
            self._blocks = await (await conn.execute(queries.blocks, values)).fetchall()
        if self._blocks:
            self._place = self._blocks[-1][0], self._blocks[-1][1]
