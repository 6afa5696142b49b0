"""Verify a chain: recompute every link, and compare each activity, hot or cold, with the last word that the chain has on it.

    found = await verify_chain(db, "acme", head=kept)

It names what was changed, removed without a link, or put in beside the intake, which links and blocks are not what was made, and where the
first one is. head: one that was kept elsewhere (`milepost.storage.chain_head`): what is before it was rewritten if the
chain does not lead to it. Memory is bounded: links are read some at a time, activities by spans of ids, each in one snapshot, on a
live system. Contents in the object store are fetched and compared with the digests that they are named by.

`newest`: a sample, the newest links and activities alone, whose cost does not grow with the history.

How it fails: `NotFound` where the tenant has no chain, `StoreUnavailable`, `ColdFileDamaged`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import UUID

from milepost.access.tenants import Tenant, find_tenant
from milepost.activity import LARGEST_ID, SMALLEST_ID
from milepost.errors import NotFound, ObjectDamaged, ObjectMissing
from milepost.postgres import Connection, Database, JsonText, load_queries
from milepost.schema.compile import chain_content, chain_form
from milepost.schema.models import current_model
from milepost.storage._chain_links import Links
from milepost.storage._parquet import ColdFileDamaged
from milepost.storage.chain_digests import activity_digest
from milepost.storage.chain_head import Head
from milepost.storage.content import Contents, Kept, kept_of
from milepost.storage.manifest import files_between
from milepost.storage.objects import object_store
from milepost.storage.whole import Whole

__all__ = ["ChainVerification", "content_in_a_row", "verify_chain"]

queries = load_queries(__package__, "chain_verify.sql")

SPAN_ROWS = 100_000
SPAN_BLOCKS = 10_000
NEWEST_LINKS, NEWEST_ROWS = 1_000, 50_000
CONTENTS_AT_ONCE = 200
ITEMS_MAX = 1_000  # differences that are listed; all are counted
SAYS = {
    "inserted": "is there, and no link says so",
    "gone": "is not there any more, and no link says why",
    "changed": "is not what it was when its link was made",
    "salt gone": "cannot be compared any more: its salt was taken, and it is there",
    "salt kept": "is gone, and its salt is not",
    "content": "has a content that is not what was written",
}


@dataclass(kw_only=True)
class ChainVerification:
    """entries: what the links that were read say, by kind. activities: that were compared up to here, by spans. items: the first
    differences: {"kind", "link", "id", "detail"}. filling: history is still being taken in. ended: by a model without a chain, so its
    links alone were recomputed."""

    tenant: str
    links: int = 0
    last_link: int = 0
    entries: dict[str, int] = field(default_factory=dict)
    spans: int = 0
    contents: int = 0
    differences: int = 0
    items: list[dict[str, Any]] = field(default_factory=list)
    filling: bool = False
    ended: bool = False

    def note(self, kind: str, detail: str, *, link: int | None = None, id: UUID | None = None) -> None:
        self.differences += 1
        if len(self.items) < ITEMS_MAX:
            self.items.append({"kind": kind, "link": link, "id": id and str(id), "detail": detail})


async def verify_chain(
    db: Database,
    tenant: str,
    *,
    head: Head | None = None,
    newest: bool = False,
    contents: bool = True,
    on_progress: Callable[[str], None] = lambda _: None,
) -> ChainVerification:
    async with db.transaction("analytics") as conn:
        compiled = (await current_model(conn)).compiled
        found = await find_tenant(conn, tenant)
    outcome = ChainVerification(tenant=tenant)
    values = {"tenant_id": found.tenant_id}
    async with db.transaction("analytics", tenant_id=found.tenant_id) as conn:
        row = await (await conn.execute(queries.chained, values)).fetchone()
    last, filled_to = row or (None, None)
    if last is None and not compiled.model.chain:
        raise NotFound(f"The tenant {tenant!r} has no chain: the model does not say `chain = true`.")
    outcome.last_link, outcome.filling, outcome.ended = last or 0, filled_to is not None, not compiled.model.chain
    after = max(0, outcome.last_link - NEWEST_LINKS) if newest else 0
    await Links(db, found, outcome, head).verify(after, on_progress)
    if outcome.ended:
        return outcome
    comparing = _Comparing(db, found, outcome, Contents(object_store(db.settings)), compiled.columns, on_progress)
    async with await Whole.open(db, compiled.columns) as whole:
        await comparing.all(whole, filled_to or LARGEST_ID, newest=newest)
    if contents and not newest:
        await comparing.contents()
    return outcome


async def content_in_a_row(conn: Connection, contents: Contents, kept: Kept) -> str:
    """The line of a content that is in the object store as it was while it was in its row: the same JSON in other words."""
    text = await contents.whole(kept)
    row = await (await conn.execute(queries.as_in_a_row, {"text": JsonText(text)})).fetchone()
    assert row is not None
    return str(row[0])


class _Comparing:
    """Of one tenant."""

    def __init__(
        self,
        db: Database,
        tenant: Tenant,
        outcome: ChainVerification,
        contents: Contents,
        columns: Mapping[str, Any],
        on_progress: Callable[[str], None],
    ) -> None:
        self._db = db
        self._tenant = {"tenant_id": tenant.tenant_id}
        self._tenant_id = tenant.tenant_id
        self._outcome = outcome
        self._contents = contents
        self._told = on_progress
        self._compare = queries.compare.replace("{form}", chain_form(columns)).replace("{content}", chain_content())

    async def all(self, whole: Whole, until: UUID, *, newest: bool) -> None:
        """until: below which id the chain is complete."""
        low = await self._start(newest=newest)
        while low < until:
            high = min(await self._span_end(low), until)
            await self._span(whole, low, high)
            self._outcome.spans += 1
            low = high

    async def _start(self, *, newest: bool) -> UUID:
        if not newest:
            return SMALLEST_ID
        async with self._db.transaction("analytics", tenant_id=self._tenant_id) as conn:
            row = await (await conn.execute(queries.newest_start, {**self._tenant, "rows": NEWEST_ROWS})).fetchone()
        return row[0] if row else SMALLEST_ID

    async def _span_end(self, low: UUID) -> UUID:
        values = {**self._tenant, "low": low, "rows": SPAN_ROWS, "blocks": SPAN_BLOCKS}
        async with self._db.transaction("analytics", tenant_id=self._tenant_id) as conn:
            row = await (await conn.execute(queries.span_end, values)).fetchone()
            files = await files_between(conn, self._tenant_id, low, LARGEST_ID)
        ends = [end for end in row or () if end is not None]
        ends += [UUID(int=file.high.int + 1) for file in files]
        return min((end for end in ends if end > low), default=LARGEST_ID)

    async def _span(self, whole: Whole, low: UUID, high: UUID) -> None:
        self._told(f"{self._outcome.tenant}: activities from {low}")
        values = {**self._tenant, "low": low, "high": high, "kept": True, "files": True}
        try:
            async with whole.snapshot(self._tenant_id, low, high) as conn:
                rows = await (await conn.execute(whole.over(self._compare), values)).fetchall()
                moved = [row[0] for row in rows if row[2] == "changed" and row[6].startswith("blake2b ")]
                kept = await kept_of(conn, self._tenant_id, moved) if moved else {}
        except ColdFileDamaged as error:
            self._outcome.note("file", f"{error} What is in it was not compared.")
            return
        for id_, link, what, salt, digest, form, _ in rows:
            stored = kept.get(id_)
            if stored is not None and await self._was_in_the_row(stored, salt, bytes(digest), form):
                continue
            self._outcome.note(what, f"The activity {id_} {SAYS[what]}.", link=link, id=id_)

    async def _was_in_the_row(self, kept: Kept, salt: UUID, digest: bytes, form: str) -> bool:
        """Whether all that changed is where the content lies: it has moved to the object store since."""
        try:
            async with self._db.transaction("analytics", tenant_id=self._tenant_id) as conn:
                content = await content_in_a_row(conn, self._contents, kept)
        except (ObjectDamaged, ObjectMissing):
            return False
        return activity_digest(salt, form, content) == digest

    async def contents(self) -> None:
        """Each object anew, whatever its index says."""
        after = b""
        while True:
            values = {**self._tenant, "after": after, "most": CONTENTS_AT_ONCE}
            async with self._db.transaction("analytics", tenant_id=self._tenant_id) as conn:
                rows = await (await conn.execute(queries.contents, values)).fetchall()
            if not rows:
                return
            self._told(f"{self._outcome.tenant}: contents")
            for row in rows:
                kept = Kept.of(self._tenant_id, row)
                after = kept.digest
                self._outcome.contents += 1
                if not await self._is_as_named(kept):
                    await self._name_content(after)

    async def _is_as_named(self, kept: Kept) -> bool:
        text = blake2b(digest_size=32)
        try:
            async for piece in self._contents.texts(kept, 0, kept.text_bytes):
                text.update(piece)
        except (ObjectDamaged, ObjectMissing):
            return False
        return text.digest() == kept.digest

    async def _name_content(self, digest: bytes) -> None:
        async with self._db.transaction("analytics", tenant_id=self._tenant_id) as conn:
            rows = await (await conn.execute(queries.who_has, {**self._tenant, "digest": digest})).fetchall()
        for (id_,) in rows:
            self._outcome.note("content", f"The activity {id_} {SAYS['content']}.", id=id_)
