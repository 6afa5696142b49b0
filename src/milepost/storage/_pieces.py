"""A file of this machine, written from pieces: whole or not there, and synced to disk, however long the pieces take to come.

It is written beside its place, under a lock that ends with its process, and then takes its place. So what a writer that was killed has left
is written over by the next one; `BESIDE` names it for whoever cleans up.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

from milepost.errors import Conflict

__all__ = ["BESIDE", "write_pieces"]

BESIDE = ".part"
GATHERED_BYTES = 1 << 20  # in one turn to the disk


async def write_pieces(file: Path, pieces: AsyncIterator[bytes]) -> None:
    """Raises `Conflict` where somebody writes it already, and what `pieces` raises: then nothing of it stays."""
    beside = file.with_name(file.name + BESIDE)
    descriptor = await asyncio.to_thread(_open, beside)
    try:
        gathered: list[bytes] = []
        size = 0
        async for piece in pieces:
            gathered.append(piece)
            size += len(piece)
            if size >= GATHERED_BYTES:
                await asyncio.to_thread(_write, descriptor, b"".join(gathered))
                gathered, size = [], 0
        await asyncio.to_thread(_finish, descriptor, b"".join(gathered), beside, file)
    except BaseException:
        os.ftruncate(descriptor, 0)
        beside.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _open(beside: Path) -> int:
    beside.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(descriptor, beside):  # and has not taken its place, or gone, since we opened it
                os.ftruncate(descriptor, 0)
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise Conflict("It is being uploaded by another request.") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(descriptor: int, beside: Path) -> bool:
    try:
        return beside.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _finish(descriptor: int, data: bytes, beside: Path, file: Path) -> None:
    _write(descriptor, data)
    os.fsync(descriptor)
    beside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
