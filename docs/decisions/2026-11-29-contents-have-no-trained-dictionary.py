"""What a dictionary would save of contents that are compressed one by one: trained on contents, and on their member names alone.

    .venv/bin/python docs/decisions/2026-11-29-contents-have-no-trained-dictionary.py FILE [MEMBER]

FILE: JSON, one a line (.gz, .xz or plain); MEMBER: the one of each that is the content. Half of the documents over 4 KiB (of all, where
there are too few) train, the others are compressed with zstd at level 9, as contents are.
"""

from __future__ import annotations

import gzip
import lzma
import random
import sys
from pathlib import Path
from typing import Any

import msgspec
from backports import zstd

LARGE, LEVEL, FRAME, SIZE, MOST = 4096, 9, 16 * 1024, 112_640, 2000


def main(file: Path, member: str | None) -> None:
    opened = {".gz": gzip.open, ".xz": lzma.open}.get(file.suffix, open)(file, "rb")
    with opened:
        documents = [msgspec.json.decode(line) for line in opened]
    texts = [msgspec.json.encode(one[member] if member else one) for one in documents]
    large = [one for one in texts if len(one) >= LARGE]
    chosen = large if len(large) >= 50 else texts
    random.Random(3).shuffle(chosen)
    half = len(chosen) // 2
    train, tried = chosen[:half][:MOST], chosen[half:][:MOST]
    alone = sum(len(zstd.compress(one, level=LEVEL)) for one in tried)
    print(
        f"{len(tried)} documents of {sum(map(len, tried)) // len(tried):,} bytes, alone {alone / sum(map(len, tried)):.3f} of that"
    )
    names = [msgspec.json.encode(_bare(msgspec.json.decode(one))) for one in train]
    for what, samples in (("contents", train), ("member names alone", names)):
        dictionary = zstd.train_dict([one[:FRAME] for one in samples], SIZE)
        size = sum(len(zstd.compress(one, level=LEVEL, zstd_dict=dictionary)) for one in tried)
        print(f"with a dictionary of {what}: {size / alone:.2f} of it")


def _bare(value: Any) -> Any:
    """The same without its texts and numbers."""
    match value:
        case dict():
            return {name: _bare(one) for name, one in value.items()}
        case list():
            return [_bare(one) for one in value]
        case str():
            return ""
        case bool() | None:
            return value
        case _:
            return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
