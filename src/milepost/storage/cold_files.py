"""The archive's files: on the object store, and for reading in a folder of this machine.

A file is fetched whole, its digest compared, and kept under the name of that digest; the folder `cold` in the data folder holds at most
`cold_cache_mb`, and what was used longest ago goes first. A file that is missing, or is not what was written, is a
`ColdFileDamaged` that names it, and nothing of it is read. A store that does not answer is a `StoreUnavailable` (`objects`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from milepost.errors import ObjectMissing
from milepost.settings import Settings
from milepost.storage._parquet import ColdFileDamaged, Source
from milepost.storage.manifest import ColdFile
from milepost.storage.objects import digest_of as object_digest
from milepost.storage.objects import object_store

__all__ = ["ColdFileDamaged", "ColdFiles", "cold_files", "digest_of"]


FETCHED_AT_ONCE = 8  # files of some megabytes, each in memory until it is on disk


def digest_of(data: bytes) -> str:
    return object_digest(data).hex()


class ColdFiles:
    """Of one process; get it from `cold_files`."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.data_dir / "cold"
        self._bytes_max = settings.cold_cache_mb * 1024 * 1024
        self._store = object_store(settings)
        self._fetching: dict[str, asyncio.Lock] = {}

    def scratch(self, ending: str) -> Path:
        """A new file's path, for its maker to remove."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{uuid4().hex}.{ending}.part"

    async def put(self, path: str, data: bytes) -> None:
        await self._store.put(path, data)

    async def get(self, path: str) -> bytes:
        try:
            return await self._store.get(path)
        except ObjectMissing as error:
            raise ColdFileDamaged(f"The file {path} of the archive is not on the object store.", path=path) from error

    async def delete(self, path: str) -> None:
        """Safe where it is gone already."""
        await self._store.delete([path])

    async def fetch(self, file: ColdFile) -> Source:
        """The file, here. Raises `ColdFileDamaged`, `StoreUnavailable`."""
        target = self.folder / f"{file.digest}.parquet"
        async with self._fetching.setdefault(file.digest, asyncio.Lock()):
            try:
                os.utime(target)
            except FileNotFoundError:
                data = await self.get(file.path)
                if digest_of(data) != file.digest:
                    raise ColdFileDamaged(
                        f"The file {file.path} of the archive is not what was written.", path=file.path
                    ) from None
                scratch = self.scratch("parquet")
                await asyncio.to_thread(scratch.write_bytes, data)
                scratch.replace(target)
                await asyncio.to_thread(self._make_room, target)
        return Source(path=target, columns=file.columns)

    async def fetch_all(self, files: Iterable[ColdFile]) -> list[Source]:
        """The same of several, in their order; a few at once, since a bucket lets each wait for some tens of milliseconds."""
        wanted, found = list(files), list[Source]()
        for first in range(0, len(wanted), FETCHED_AT_ONCE):
            found += await asyncio.gather(*map(self.fetch, wanted[first : first + FETCHED_AT_ONCE]))
        return found

    def forget(self, file: ColdFile) -> None:
        """Whatever is kept of it here."""
        (self.folder / f"{file.digest}.parquet").unlink(missing_ok=True)

    def keep_only(self, digests: Collection[str]) -> int:
        """Of what is kept here. → how many files went."""
        gone = [path for path in self.folder.glob("*.parquet") if path.stem not in digests]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _make_room(self, keep: Path) -> None:
        """Other processes may share the folder: what they removed meanwhile is not there to be looked at."""
        kept = []
        for path in self.folder.glob("*.parquet"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                kept.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self._bytes_max:
                return
            if path != keep:
                path.unlink(missing_ok=True)
                total -= size


@lru_cache(maxsize=16)
def cold_files(settings: Settings) -> ColdFiles:
    """Those of a deployment, by its settings."""
    return ColdFiles(settings)
