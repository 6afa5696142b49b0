"""A proof that one activity is in a chain as it is, or is gone from it: some twenty kilobytes, whatever the history has.

    proof = await prove(conn, tenant, compiled, id, until=head.link)
    check_proof(proof, head)          # needs neither a database nor this deployment

It has the activity's form, which is text and can be read, its salt, the block and the link that it is in, and of the links from a head
down to that one what their digests are made of. Whoever kept the head recomputes each from the one before it. Of an activity that is
gone it proves that, when, and why.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from milepost.access.tenants import Tenant
from milepost.errors import Conflict, FieldError, InvalidInput, MilepostError, NotFound
from milepost.postgres import Connection, JsonText, load_queries
from milepost.schema.compile import CompiledModel, chain_content, chain_form
from milepost.settings import Settings
from milepost.storage.chain_digests import activity_digest, before_all, block_digest, earlier, link_digest, since_1970_us, way
from milepost.storage.chain_head import Head
from milepost.storage.chain_verify import content_in_a_row
from milepost.storage.cold import Cold
from milepost.storage.cold_files import cold_files
from milepost.storage.content import Contents, kept_of
from milepost.storage.objects import object_store

__all__ = ["Proof", "ProofFails", "check_proof", "prove"]

queries = load_queries(__package__, "chain_proof.sql")


class ProofFails(MilepostError):
    """The proof does not lead from the activity to the head."""


class Said(msgspec.Struct, frozen=True):
    """An activity as its digest is of it. form: a JSON array; content: a line about its content, '' for none."""

    salt: UUID
    form: str
    content: str


class Entry(msgspec.Struct, frozen=True):
    """digest: in hexadecimal; null of one that is gone."""

    id: UUID
    digest: str | None


class Passed(msgspec.Struct, frozen=True):
    """A link on the way. made_at: microseconds since 1970. root: of its blocks; previous, before: of the links that it names."""

    number: int
    made_at: int
    why: str
    root: str
    previous: str
    before: str


class Proof(msgspec.Struct, frozen=True):
    """kind: what the chain says last of the activity. said: null where it is gone. block: what is in its block; blocks: the digests of all
    blocks of its link. links: from the head's down to its own, each of which the one before it names."""

    tenant: str
    id: UUID
    kind: str
    said: Said | None
    block: list[Entry]
    blocks: list[str]
    links: list[Passed]


async def prove(
    conn: Connection, tenant: Tenant, compiled: CompiledModel, settings: Settings, id: UUID, *, until: int | None = None
) -> Proof:
    """id: the activity's, or an earlier one. until: the link of the head that is kept; None: the newest. conn: in a snapshot. Raises
    `NotFound` where the chain says nothing of it, `InvalidInput` for a link before it, `Conflict` where it is not what the chain has."""
    asked: dict[str, Any] = {"tenant_id": tenant.tenant_id, "id": id}
    row = await (await conn.execute(queries.current_id, asked)).fetchone()
    assert row is not None
    asked["id"] = row[0]
    words = await (await conn.execute(queries.words, asked)).fetchall()
    if not words:
        raise NotFound("The chain says nothing of such an activity.")
    link, place, kind, _, _, salt, digest = words[0]
    newest = await _newest(conn, tenant.tenant_id)
    last = newest if until is None else until
    if not link <= last <= newest:
        detail = f"is in link {link} of {newest}: a head between these proves it"
        raise InvalidInput(f"It {detail}.", errors=(FieldError("/head", f"the activity {detail}"),))
    said = None
    if digest is not None:
        said = await _said(conn, tenant.tenant_id, compiled, settings, row[0], salt, bytes(digest))
    inside = {"tenant_id": tenant.tenant_id, "link": link, "place": place}
    block = await (await conn.execute(queries.block, inside)).fetchall()
    blocks = await (await conn.execute(queries.blocks, inside)).fetchall()
    return Proof(
        tenant=tenant.name,
        id=row[0],
        kind=kind,
        said=said,
        block=[Entry(id=one, digest=digest and bytes(digest).hex()) for one, digest in block],
        blocks=[bytes(one).hex() for (one,) in blocks],
        links=await _passed(conn, tenant, last, link),
    )


def check_proof(proof: Proof, head: Head) -> None:
    """Raises `ProofFails` with what does not agree."""
    own = next((one for one in proof.block if one.id == proof.id), None)
    if own is None or proof.tenant != head.tenant:
        raise ProofFails("It is of another activity or tenant.")
    if (own.digest is None) != (proof.said is None):
        raise ProofFails("It leaves out what the activity was.")
    if proof.said is not None:
        if activity_digest(proof.said.salt, proof.said.form, proof.said.content).hex() != own.digest:
            raise ProofFails("The activity is not what its digest is of.")
        if str(proof.id) != msgspec.json.decode(proof.said.form)[0]:
            raise ProofFails("The form is another activity's.")
    entries = b"".join(one.id.bytes + bytes.fromhex(one.digest or "") for one in proof.block)
    if block_digest(proof.kind, entries).hex() not in proof.blocks:
        raise ProofFails("The block is none of its link.")
    root = sha256(b"".join(map(bytes.fromhex, proof.blocks))).hexdigest()
    if not proof.links or proof.links[-1].root != root or proof.links[0].number != head.link:
        raise ProofFails("The links do not lead from the head to the activity.")
    expected = {head.link: head.digest}
    for one in proof.links:
        made = link_digest(
            bytes.fromhex(one.previous), bytes.fromhex(one.before), one.number, one.made_at, one.why, bytes.fromhex(one.root)
        )
        if made.hex() != expected.get(one.number):
            raise ProofFails(f"Link {one.number} is not one that leads to the head.", link=one.number)
        expected = {one.number - 1: one.previous, earlier(one.number): one.before}


async def _said(
    conn: Connection, tenant_id: int, compiled: CompiledModel, settings: Settings, id: UUID, salt: UUID | None, digest: bytes
) -> Said:
    asked: dict[str, Any] = {"tenant_id": tenant_id, "id": id, "kept": True, "files": True}
    query, cold_query = (
        one.replace("{form}", chain_form(compiled.columns)).replace("{content}", chain_content())
        for one in (queries.said, queries.said_cold)
    )
    row = await (await conn.execute(query, asked)).fetchone()
    if row is None:
        cold = await Cold(cold_files(settings), compiled.columns).of_ids(conn, tenant_id, [id])
        if id in cold:
            rows = JsonText(b"[" + cold[id][1] + b"]")
            row = await (await conn.execute(cold_query, {**asked, "cold_rows": rows})).fetchone()
    if row is not None and salt is not None:
        form, content = row
        if activity_digest(salt, form, content) != digest and content.startswith("blake2b "):
            kept = (await kept_of(conn, tenant_id, [id]))[id]
            content = await content_in_a_row(conn, Contents(object_store(settings)), kept)
        if activity_digest(salt, form, content) == digest:
            return Said(salt=salt, form=form, content=content)
    raise Conflict("The activity is not what the chain has of it: `milepost chain verify` says more.")


async def _newest(conn: Connection, tenant_id: int) -> int:
    row = await (await conn.execute(queries.newest, {"tenant_id": tenant_id})).fetchone()
    assert row is not None
    return int(row[0])


async def _passed(conn: Connection, tenant: Tenant, newest: int, link: int) -> list[Passed]:
    asked = {"tenant_id": tenant.tenant_id, "numbers": list(way(newest, link))}
    none = before_all(tenant.name)
    rows = await (await conn.execute(queries.way, asked)).fetchall()
    return [
        Passed(
            number=number,
            made_at=since_1970_us(made_at),
            why=why,
            root=bytes(root).hex(),
            previous=bytes(previous or none).hex(),
            before=bytes(before or none).hex(),
        )
        for number, made_at, why, root, previous, before in rows
    ]
