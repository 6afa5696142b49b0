"""Files that activities name: asked for by a rule of the model, uploaded past us or through us, looked at, and then never changed.

    asked = await files.ask(db, tenant_id, request)      # → where to put it: a URL of the object store, or one of our own
    file = await files.complete(db, tenant_id, file_id)  # → it is what was said; its ticket names it in activities

What comes in lies under `uploads/`, which a signed URL can write for as long as it is good. Before it is looked at, the store copies it to where
no URL writes: so what was looked at is what is read, for ever. Its size, its media type (as the store has it, and as it begins) and its SHA-256,
where one was said, must be those that were asked for. Each attempt has an object of its own, and only the last one counts: two at once cannot
leave a file that nobody looked at.

Killed anywhere, there is a row that knows of every object (`milepost.storage.files_unused` takes what stays behind).

How it fails: `Unfit` with a pointer for each thing that is not as it was said, and what was uploaded is gone; `Conflict` where nothing was uploaded;
`NotFound`; `StoreUnavailable`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any
from uuid import UUID, uuid4

from milepost import faults
from milepost.errors import Conflict, FieldError, NotFound, ObjectMissing, StoreUnavailable
from milepost.model import Model
from milepost.postgres import Database, load_queries
from milepost.settings import Settings
from milepost.storage import _media_types
from milepost.storage.file import Asked, File, Unfit, check, final_path, find_file, pieces_of, upload_path
from milepost.storage.objects import ObjectStore
from milepost.storage.tickets import Tickets
from milepost.telemetry import count

__all__ = ["UPLOAD_ENDS_HOURS", "Files", "Upload"]

_queries = load_queries(__package__, "files.sql")

ATTEMPTS_MAX = 100
LOOK_S = 3600.0  # longer than any look takes
UPLOAD_ENDS_HOURS = 24.0  # an upload that begins in time may take so long
LINK_S = 900.0  # how long a URL to read a file is good, at least
HASHED_BYTES = 8 * 1024 * 1024  # in one request to the store, which has its own time


@dataclass(frozen=True, kw_only=True)
class Upload:
    """url: the store's, or a path of ours. headers: that the PUT must have."""

    url: str
    headers: dict[str, str]
    until: datetime


class Files:
    """One a process."""

    def __init__(self, store: ObjectStore, tickets: Tickets, settings: Settings) -> None:
        self.store = store
        self.tickets = tickets
        self._settings = settings

    # ── before it is there ──

    async def ask(self, db: Database, tenant_id: int, model: Model, asked: Asked) -> tuple[UUID, Upload]:
        """→ its id, and how to upload it. Raises `Unfit` for what the model's rule does not admit."""
        check(model, asked)
        file = File(**vars(asked), tenant_id=tenant_id, file_id=uuid4(), attempt=0, complete=False)
        values = vars(asked) | {"tenant_id": tenant_id, "file_id": file.file_id} | self._upload_times()
        async with db.transaction("write", tenant_id=tenant_id) as conn:
            await conn.execute(_queries.ask, values)
        faults.reach("file.asked")
        return file.file_id, await self._upload(file)

    async def ask_again(self, db: Database, tenant_id: int, file_id: UUID) -> Upload:
        """For a file that was not uploaded in time. Raises `NotFound`, and `Conflict` where it is complete."""
        file = await self.find(db, tenant_id, file_id)
        async with db.transaction("write", tenant_id=tenant_id) as conn:
            values = {"tenant_id": tenant_id, "file_id": file_id} | self._upload_times()
            if not (await conn.execute(_queries.again, values)).rowcount:
                raise Conflict("The file is complete, and never changes.")
        return await self._upload(file)

    def _upload_times(self) -> dict[str, datetime]:
        until = datetime.now(UTC) + timedelta(seconds=self._settings.file_upload_s)
        return {"upload_until": until, "keep_until": until + timedelta(hours=UPLOAD_ENDS_HOURS)}

    async def _upload(self, file: File) -> Upload:
        valid_s = self._settings.file_upload_s
        until = time() + valid_s
        if self.store.signs:
            url = await self.store.presign("PUT", upload_path(file.tenant_id, file.file_id), valid_s=valid_s)
            headers = self.store.upload_headers(file.attributes)
        else:
            url = _own("PUT", self.tickets, file, until)
            headers = {"Content-Type": file.media_type}
        return Upload(url=url, headers=headers, until=datetime.fromtimestamp(until, UTC))

    async def receive(self, file: File, pieces: AsyncIterator[bytes]) -> None:
        """An upload through us. Raises `Unfit` as soon as it is longer than was said."""
        await self.store.put_pieces(upload_path(file.tenant_id, file.file_id), _bounded(pieces, file.size))
        faults.reach("file.received")

    # ── looked at ──

    async def complete(self, db: Database, tenant_id: int, file_id: UUID) -> tuple[File, str]:
        """→ the file and a ticket. Once it is complete, it is so at once, and only the ticket is new."""
        file = await self.find(db, tenant_id, file_id)
        if not file.complete:
            file = await self._looked_at(db, file)
        now = time()
        hours = self._settings.file_unused_hours
        values = {"tenant_id": tenant_id, "file_id": file_id, "keep_until": _moment(now + 2 * hours * 3600)}
        async with db.transaction("write", tenant_id=tenant_id) as conn:
            if not (await conn.execute(_queries.wanted, values)).rowcount:
                raise NotFound("There is no such file.")
        return file, self.tickets.ticket(tenant_id, file.verb, file.name, file_id, now + hours * 3600)

    async def _looked_at(self, db: Database, file: File) -> File:
        asked: dict[str, Any] = {"tenant_id": file.tenant_id, "file_id": file.file_id}
        async with db.transaction("write", tenant_id=file.tenant_id) as conn:
            values = asked | {"attempts_max": ATTEMPTS_MAX, "keep_until": _moment(time() + LOOK_S)}
            row = await (await conn.execute(_queries.look, values)).fetchone()
        if row is None:
            return await self._found_complete(db, file)
        upload = upload_path(file.tenant_id, file.file_id)
        path = final_path(file.tenant_id, file.file_id, row[0])
        try:
            await self.store.copy(upload, path, size=file.size)
        except ObjectMissing as error:
            raise Conflict("The file has not been uploaded yet.") from error
        faults.reach("file.copied")
        try:
            errors = await self._differences(file, path)
        except ObjectMissing:  # another attempt was complete meanwhile, and has taken ours away
            return await self._found_complete(db, file)
        if errors:
            await self.store.delete([upload, path])
            count("files_refused")
            raise Unfit(errors=tuple(errors))
        now = time()
        kept_s = 2 * self._settings.file_unused_hours * 3600
        values = asked | {"attempt": row[0], "now": _moment(now), "keep_until": _moment(now + kept_s)}
        async with db.transaction("write", tenant_id=file.tenant_id) as conn:
            completed = (await conn.execute(_queries.complete, values)).rowcount
        faults.reach("file.completed")
        if not completed:
            return await self._found_complete(db, file)
        with suppress(StoreUnavailable):  # what stays is taken with what comes too late
            earlier = [final_path(file.tenant_id, file.file_id, attempt) for attempt in range(1, row[0])]
            await self.store.delete([upload, *earlier])
        count("files_completed")
        return await self.find(db, file.tenant_id, file.file_id)

    async def _found_complete(self, db: Database, file: File) -> File:
        found = await self.find(db, file.tenant_id, file.file_id)
        if not found.complete:
            raise Conflict(
                "The file is being completed by another request, or was not what was said too often: ask for another one."
            )
        return found

    async def _differences(self, file: File, path: str) -> list[FieldError]:
        """What is not as it was said. The object's own attributes count too: the store answers with them."""
        stored, attributes, first = await self.store.beginning(path, _media_types.FIRST_BYTES)
        if stored.size != file.size:
            return [FieldError("/bytes", f"{file.size} were said, and {stored.size} came")]
        errors = []
        if (wrong := _media_types.contradiction(file.media_type, first)) is not None:
            errors.append(FieldError("/type", wrong))
        elif self.store.signs:
            errors += [
                FieldError("/type", f"it was uploaded with {name}: {attributes.get(name)!r}, and not with {said!r}")
                for name, said in {**file.attributes, "Content-Encoding": None}.items()
                if attributes.get(name) != said
            ]
        if not errors and file.sha256 is not None and await self._sha256(path, file.size) != file.sha256:
            errors.append(FieldError("/sha256", "is another one"))
        return errors

    async def _sha256(self, path: str, size: int) -> bytes:
        digest = hashlib.sha256()
        for first in range(0, size, HASHED_BYTES):
            await asyncio.to_thread(digest.update, await self.store.range(path, first, min(size, first + HASHED_BYTES)))
        return digest.digest()

    # ── read ──

    async def find(self, db: Database, tenant_id: int, file_id: UUID) -> File:
        """Raises `NotFound`."""
        return await find_file(db, tenant_id, file_id)

    async def named_by(self, db: Database, tenant_id: int, file_id: UUID, *, rows_max: int) -> list[UUID]:
        """Activities, by their current ids."""
        asked = {"tenant_id": tenant_id, "file_id": file_id, "rows_max": rows_max}
        async with db.transaction("point", tenant_id=tenant_id) as conn:
            return [row[0] for row in await (await conn.execute(_queries.named_by, asked)).fetchall()]

    async def link(self, file: File) -> str:
        """A URL with which anybody may read it, for a while: the store's, or a path of ours, which is the same for as long."""
        if self.store.signs:
            return await self.store.presign("GET", file.path, valid_s=LINK_S)
        return _own("GET", self.tickets, file, (time() // LINK_S + 2) * LINK_S)

    def pieces(self, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from start to before end. Raises `ObjectMissing`, `ObjectDamaged`."""
        return pieces_of(self.store, file, start, end)


def _own(method: Any, tickets: Tickets, file: File, until: float) -> str:
    return f"/v1/files/{file.file_id}/data?grant={tickets.grant(method, file.tenant_id, file.file_id, until)}"


async def _bounded(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    came = 0
    async for piece in pieces:
        came += len(piece)
        if came > size:
            raise Unfit(errors=(FieldError("/bytes", f"{size} were said, and more came"),))
        yield piece


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
