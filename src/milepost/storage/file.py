"""What a file is: what was said of it, by which rule of the model, and where it lies.

    file = await find_file(db, tenant_id, file_id)
    async for piece in pieces_of(store, file, 0, file.size): ...

How it fails: `Unfit` with a pointer for each thing that a rule does not admit; `NotFound`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from milepost.errors import FieldError, InvalidInput, NotFound
from milepost.model import Model
from milepost.postgres import Database, load_queries
from milepost.storage import _media_types
from milepost.storage.objects import ObjectStore

__all__ = ["Asked", "File", "Unfit", "check", "final_path", "find_file", "pieces_of", "upload_path"]

_queries = load_queries(__package__, "file.sql")

PIECE_BYTES = 256 * 1024


class Unfit(InvalidInput):
    """The file is not what was said of it."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is said of a file before it is uploaded. sha256: 32 bytes."""

    verb: str
    name: str
    media_type: str
    size: int  # bytes
    sha256: bytes | None = None
    filename: str | None = None


@dataclass(frozen=True, kw_only=True)
class File(Asked):
    tenant_id: int
    file_id: UUID
    attempt: int
    complete: bool

    @property
    def path(self) -> str:
        return final_path(self.tenant_id, self.file_id, self.attempt)

    @property
    def disposition(self) -> str:
        """Whether a browser shows or saves it, and as what (RFC 6266)."""
        how = "inline" if _media_types.shown_inline(self.media_type) else "attachment"
        return how if self.filename is None else f"{how}; filename*=UTF-8''{quote(self.filename, safe='')}"

    @property
    def attributes(self) -> dict[str, str]:
        return {"Content-Type": self.media_type, "Content-Disposition": self.disposition}


def check(model: Model, asked: Asked) -> None:
    """Raises `Unfit` for what no activity could name."""
    verb = model.verbs.get(asked.verb)
    if verb is None:
        raise Unfit(errors=(FieldError("/verb", "is not a verb of the model"),))
    rule = verb.files.get(asked.name)
    if rule is None:
        known = f": {', '.join(verb.files)}" if verb.files else ""
        raise Unfit(errors=(FieldError("/name", f"the model declares no such files of {asked.verb}{known}"),))
    errors = []
    if not rule.admits(asked.media_type):
        errors.append(FieldError("/type", f"must be one of {', '.join(rule.types)}"))
    elif rule.types and asked.media_type not in rule.types and not _media_types.is_told(asked.media_type):
        errors.append(FieldError("/type", "cannot be told by how a file begins, so that the model must name it in full"))
    if asked.size > rule.bytes_max:
        errors.append(FieldError("/bytes", f"must be at most {rule.bytes_max}"))
    if errors:
        raise Unfit(errors=tuple(errors))


async def find_file(db: Database, tenant_id: int, file_id: UUID) -> File:
    """Raises `NotFound`."""
    async with db.transaction("point", tenant_id=tenant_id) as conn:
        row = await (await conn.execute(_queries.find, {"tenant_id": tenant_id, "file_id": file_id})).fetchone()
    if row is None:
        raise NotFound("There is no such file.")
    return File(
        tenant_id=tenant_id,
        file_id=row[0],
        verb=row[1],
        name=row[2],
        media_type=row[3],
        size=row[4],
        sha256=row[5],
        filename=row[6],
        attempt=row[7],
        complete=row[8] is not None,
    )


async def pieces_of(store: ObjectStore, file: File, start: int, end: int) -> AsyncIterator[bytes]:
    """Its bytes from start to before end. Raises `ObjectMissing`, `ObjectDamaged`."""
    for first in range(start, end, PIECE_BYTES):
        yield await store.range(file.path, first, min(end, first + PIECE_BYTES))


def upload_path(tenant_id: int, file_id: UUID) -> str:
    return f"uploads/{tenant_id}/{file_id}"


def final_path(tenant_id: int, file_id: UUID, attempt: int) -> str:
    return f"files/{tenant_id}/{file_id.hex[:2]}/{file_id}.{attempt}"
