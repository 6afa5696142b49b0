"""What an import leaves on disk while it runs: how far it is, and the rows it rejected.

The progress file is written after each batch that is durable, by rename, so that it is never half written; it
can lag behind what was sent, never lead. So a killed import sends at most its last batch again, and stable ids
make that count once. It is removed when the import is done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import IO

import msgspec

from .batches import Reject

__all__ = ["Counts", "Progress", "ProgressFile", "RejectsFile"]

REASONS_MAX = 100  # told apart in a summary
OTHER_REASONS = "other reasons (see the rejects file)"
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Counts(msgspec.Struct, kw_only=True):
    """read: rows of the files that activities come from; skipped: those that no section wanted; dead_letters:
    batches.
    """

    read: int = 0
    skipped: int = 0
    accepted: int = 0
    loaded: int = 0
    duplicates: int = 0
    groups: int = 0
    actors: int = 0
    members: int = 0
    dead_letters: int = 0
    rejected: int = 0
    reasons: dict[str, int] = {}

    def reject(self, reason: str) -> None:
        self.rejected += 1
        if reason not in self.reasons and len(self.reasons) >= REASONS_MAX:
            reason = OTHER_REASONS
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Progress(msgspec.Struct, kw_only=True):
    step: int = 0
    rows: int = 0  # of that step
    rejects_bytes: int = 0
    seconds: float = 0.0
    counts: Counts = msgspec.field(default_factory=Counts)


class ProgressFile:
    """One import is one (map, files, tenant, database): anything else starts from nothing."""

    def __init__(self, folder: Path, *, fingerprint: str, tenant: str, database: str) -> None:
        name = blake2b(f"{fingerprint}\0{tenant}\0{database}".encode(), digest_size=12).hexdigest()
        self.path = folder / f"import-{name}.json"

    def load(self) -> Progress | None:
        """None: there is nothing to go on from, also where the file cannot be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def save(self, progress: Progress) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(progress))
        draft.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class RejectsFile:
    """One JSON object a line: file, line, section, pointer, reason, detail, row. Made with the first reject."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        """keep_bytes: what an earlier run had written when it last saved its progress; the rest is written again."""
        self.path = path
        self.bytes = 0
        self._file: IO[bytes] | None = None
        if keep_bytes and path.exists() and path.stat().st_size >= keep_bytes:
            self._file = path.open("r+b")
            self._file.truncate(keep_bytes)
            self._file.seek(keep_bytes)
            self.bytes = keep_bytes
        else:
            path.unlink(missing_ok=True)

    def write(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("wb")
            self.bytes += self._file.write(_encode(reject) + b"\n")
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
