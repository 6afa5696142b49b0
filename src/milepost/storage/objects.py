"""The object store: named, immutable bytes outside PostgreSQL, in a folder of this machine or in S3, GCS or Azure.

    store = object_store(settings)
    await store.put_if_absent("content/7/ab/…", data)
    data = await store.get("content/7/ab/…", digest=digest_of(data))

What is written is whole or not there, and in a local folder synced to disk before `put` returns, as a bucket does by itself. A path is
relative to the URL's own. Credentials come from where each vendor's tools find them (`AWS_ACCESS_KEY_ID`, a service account, …), or
as options behind the `?` of the URL.

How it fails: `StoreUnavailable` where the store does not answer within `object_store_timeout_s` (a call tries again meanwhile) or refuses our credentials;
`ObjectMissing` and `ObjectDamaged` name the object. Nothing else is raised.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from milepost.errors import ObjectDamaged, ObjectMissing, SettingsError, StoreUnavailable
from milepost.settings import Settings
from milepost.storage._pieces import write_pieces

__all__ = ["ObjectStore", "StoredObject", "digest_of", "object_store"]

TRIES_MORE_MAX = 4
PAUSE_S = 0.05  # before the second try; then twice as long each time
CHUNK_BYTES = 256 * 1024
COPIED_BYTES_PER_S = 10_000_000  # at least, within a store
COPY_S_MAX = 900.0
DELETED_AT_ONCE_MAX = 500


def digest_of(data: bytes | memoryview) -> bytes:
    """32 bytes: BLAKE2b-256."""
    return blake2b(data, digest_size=32).digest()


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One of a listing. size: bytes."""

    path: str
    size: int
    modified_at: datetime


@lru_cache(maxsize=16)
def object_store(settings: Settings) -> ObjectStore:
    """The store of these settings: one a process, which all that use it share."""
    return ObjectStore(
        settings.object_store_url or (settings.data_dir / "objects").resolve().as_uri(),
        timeout_s=settings.object_store_timeout_s,
    )


class ObjectStore:
    """timeout_s: for each call, its tries and pauses included. It connects when it is first used."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        parts = urlsplit(url)
        self._url = urlunsplit(parts._replace(query="", fragment=""))
        self._options = dict(parse_qsl(parts.query))
        self._timeout_s = timeout_s
        self._opened: Any = None
        self._opened_patient: Any = None
        self.folder = Path(unquote(parts.path)) if parts.scheme == "file" else None

    # ── writing ──

    async def put(self, path: str, data: bytes, *, attributes: Mapping[str, str] | None = None) -> None:
        """Replaces what is there. attributes: such as Content-Type; a local folder keeps none."""
        await self._put(path, data, "overwrite", attributes)

    async def put_if_absent(self, path: str, data: bytes, *, attributes: Mapping[str, str] | None = None) -> bool:
        """False: there was one already, and it stays as it is."""
        from obstore.exceptions import AlreadyExistsError

        try:
            await self._put(path, data, "create", attributes)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, AlreadyExistsError):
                return False
            raise
        return True

    async def _put(
        self, path: str, data: bytes, mode: Literal["create", "overwrite"], attributes: Mapping[str, str] | None
    ) -> None:
        import obstore

        async with self._deadline(path):
            kept: Any = None if self.folder else attributes
            # In one piece: a conditional write cannot be made of several.
            await obstore.put_async(self._store, path, data, mode=mode, use_multipart=False, attributes=kept)
            if self.folder is not None:
                await asyncio.to_thread(_sync, self.folder / path)

    async def put_pieces(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        """The same of what comes in pieces, which are never all in memory. What `pieces` raises ends it, and nothing is written then. Raises
        `Conflict` where somebody writes the same object so."""
        import obstore

        if self.folder is not None:
            with _translated(path):
                await write_pieces(self.folder / path, pieces)
            return
        with _translated(path):
            await obstore.put_async(self._store, path, pieces, use_multipart=True, max_concurrency=2)

    async def copy(self, path: str, to: str, *, size: int) -> None:
        """Within the store, with its attributes; what is there already is replaced. size: about how many bytes, for which it gets time beyond
        that of other calls. Raises `ObjectMissing`."""
        import obstore

        async with self._deadline(path, more_s=size / COPIED_BYTES_PER_S):
            await obstore.copy_async(self._patient, path, to)
            if self.folder is not None:
                await asyncio.to_thread(_sync, self.folder / to)

    async def delete(self, paths: Sequence[str]) -> None:
        """What is gone already is no error."""
        import obstore

        for first in range(0, len(paths), DELETED_AT_ONCE_MAX):
            some = list(paths[first : first + DELETED_AT_ONCE_MAX])
            # Others than S3 fail as a whole for one that is missing.
            for path in [some] if self._url.startswith(("s3://", "s3a://")) else some:
                try:
                    async with self._deadline(path if isinstance(path, str) else path[0]):
                        await obstore.delete_async(self._store, path)
                except ObjectMissing:
                    continue

    # ── reading ──

    async def get(self, path: str, *, digest: bytes | None = None) -> bytes:
        """All of it. digest: what it must have (`digest_of`), else `ObjectDamaged`."""
        import obstore

        async with self._deadline(path):
            data = bytes(await (await obstore.get_async(self._store, path)).bytes_async())
        if digest is not None and digest_of(data) != digest:
            raise ObjectDamaged(f"The object {path} is not what was written.", path=path)
        return data

    async def range(self, path: str, start: int, end: int) -> bytes:
        """The bytes from start to before end, which must be there: else `ObjectDamaged`."""
        import obstore

        async with self._deadline(path):
            try:
                data = bytes(await obstore.get_range_async(self._store, path, start=start, end=end))
            except obstore.exceptions.GenericError as error:
                if self.folder is not None and (await asyncio.to_thread((self.folder / path).stat)).st_size < end:
                    raise ObjectDamaged(f"The object {path} is cut off.", path=path) from error
                raise
        if len(data) != end - start:
            raise ObjectDamaged(f"The object {path} is cut off.", path=path)
        return data

    async def stream(self, path: str) -> AsyncIterator[bytes]:
        """All of it in pieces; each must come within the time of a call."""
        import obstore

        async with self._deadline(path):
            pieces = aiter((await obstore.get_async(self._store, path)).stream(CHUNK_BYTES))
        while True:
            async with self._deadline(path):
                try:
                    piece = bytes(await anext(pieces))
                except StopAsyncIteration:
                    return
            yield piece

    async def head(self, path: str) -> StoredObject | None:
        """None: there is none."""
        import obstore

        try:
            async with self._deadline(path):
                return _stored(await obstore.head_async(self._store, path))
        except ObjectMissing:
            return None

    async def beginning(self, path: str, size: int) -> tuple[StoredObject, dict[str, str], bytes]:
        """An object, its attributes, and its first bytes, up to `size`. Raises `ObjectMissing`."""
        import obstore

        async with self._deadline(path):
            meta = await obstore.head_async(self._store, path)
            if not meta["size"]:  # no range is in it
                return _stored(meta), {}, b""
            got = await obstore.get_async(self._store, path, options={"range": (0, min(size, meta["size"]))})
            return (
                _stored(got.meta),
                {str(name): str(value) for name, value in got.attributes.items()},
                bytes(await got.bytes_async()),
            )

    async def answers(self, *, within_s: float) -> bool:
        """Whether it can be asked at all."""
        try:
            async with asyncio.timeout(within_s):
                await self.head("answers")
        except (StoreUnavailable, TimeoutError):
            return False
        return True

    async def list(self, prefix: str, *, after: str | None = None) -> AsyncIterator[StoredObject]:
        """Those whose path begins with the folders of `prefix`; after: only paths behind it. In no particular order."""
        import obstore

        pages = aiter(obstore.list(self._store, prefix, offset=after))
        while True:
            async with self._deadline(prefix):
                try:
                    page = await anext(pages)
                except StopAsyncIteration:
                    return
            for meta in page:
                yield _stored(meta)

    # ── handing out ──

    @property
    def signs(self) -> bool:
        """Whether `presign` can give a URL: a local folder has none."""
        return self._url.partition("://")[0] not in ("file", "memory", "http", "https")

    def upload_headers(self, attributes: Mapping[str, str]) -> dict[str, str]:
        """With which a signed PUT gives the object these attributes."""
        if self._url.partition("://")[0] not in ("az", "azure", "adl", "abfs", "abfss"):
            return dict(attributes)
        return {"x-ms-blob-type": "BlockBlob"} | {f"x-ms-blob-{name.lower()}": value for name, value in attributes.items()}

    async def presign(self, method: Literal["GET", "PUT"], path: str, *, valid_s: float) -> str:
        """A URL with which anybody may read or write the object, for a while."""
        import obstore

        async with self._deadline(path):
            return str(await obstore.sign_async(self._store, method, path, timedelta(seconds=valid_s)))

    # ── mechanism ──

    @property
    def _store(self) -> Any:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def _patient(self) -> Any:
        """The same store, for the one call that may take long before it answers at all."""
        if self._opened_patient is None:
            self._opened_patient = self._open(COPY_S_MAX)
        return self._opened_patient

    def _open(self, timeout_s: float | None = None) -> Any:
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        try:
            if self.folder is not None:
                return from_url(self._url, mkdir=True)
            options: dict[str, Any] = dict(self._options)
            client: dict[str, Any] = {
                "timeout": timedelta(seconds=timeout_s or self._timeout_s),
                "connect_timeout": timedelta(seconds=min(3.0, self._timeout_s)),
            }
            if options.pop("allow_http", "").lower() in ("1", "true"):
                client["allow_http"] = True
            retry: Any = {
                "max_retries": TRIES_MORE_MAX,
                "retry_timeout": timedelta(seconds=self._timeout_s),
                "backoff": {"init_backoff": timedelta(seconds=PAUSE_S), "max_backoff": timedelta(seconds=1), "base": 2},
            }
            return from_url(self._url, config=options or None, client_options=client, retry_config=retry)  # type: ignore[call-overload]
        except (BaseError, ValueError, TypeError) as error:
            raise SettingsError(f"object_store_url: it cannot be opened: {_said(error)}", setting="object_store_url") from error

    @asynccontextmanager
    async def _deadline(self, path: str, *, more_s: float = 0.0) -> AsyncIterator[None]:
        with _translated(path):
            async with asyncio.timeout(self._timeout_s + more_s):
                yield


@contextmanager
def _translated(path: str) -> Iterator[None]:
    from obstore.exceptions import BaseError, NotFoundError

    try:
        yield
    except TimeoutError as error:
        raise StoreUnavailable(f"The object store did not answer in time for {path}.", path=path) from error
    except (NotFoundError, FileNotFoundError) as error:
        raise ObjectMissing(f"The object {path} is not in the object store.", path=path) from error
    except (BaseError, NotImplementedError, OSError) as error:
        raise StoreUnavailable(f"The object store failed for {path}: {_said(error)}", path=path) from error


def _said(error: Exception) -> str:
    """Its first line: what follows are the driver's internals, and the request with its credentials."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _stored(meta: Mapping[str, Any]) -> StoredObject:
    return StoredObject(path=meta["path"], size=meta["size"], modified_at=meta["last_modified"])


def _sync(file: Path) -> None:
    """To disk: the bytes, and the name in its folder."""
    for path in (file, file.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
