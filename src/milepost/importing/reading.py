"""Reading files of rows: CSV, JSON lines and Parquet; plain, gzip, zstd, xz or bzip2 (seen from the first
bytes).

A source gives rows one by one in constant memory, in the same order each time, so that a row's number names it.
What is not a row (a wrong number of fields, not JSON, not UTF-8, the character U+0000, which PostgreSQL cannot
store) comes as `Bad` with a reason, and the rest goes on. A file that ends in the middle of its compression
raises `FileDamaged` after its last whole row.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from backports import zstd

from milepost.errors import InvalidInput, MilepostError
from milepost.mapping.paths import Row

from ._types import ReadOptions

__all__ = ["Bad", "FileDamaged", "Source", "UnknownFormat", "fingerprint_of", "open_source"]

# By the first bytes, whatever the file is called.
OPENERS: Final[dict[bytes, Callable[[IO[bytes]], Any]]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"\x28\xb5\x2f\xfd": zstd.ZstdFile,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
}
FORMATS: Final = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"
}  # fmt: skip
COMPRESSED: Final = (".gz", ".zst", ".zstd", ".xz", ".bz2")
FINGERPRINT_BYTES: Final = 1 << 20  # of each end of a file
LINE_BYTES_MAX: Final = 21 << 20  # a little more than a whole request may have
PARQUET_ROWS: Final = 2_000  # fetched at once
SHOWN_CHARACTERS: Final = 80  # of a first line that names no columns

csv.field_size_limit(LINE_BYTES_MAX)


class UnknownFormat(InvalidInput):
    """A file's format is neither in its name nor in the map."""


class FileDamaged(MilepostError):
    """A file cannot be read to its end."""


@dataclass(frozen=True, slots=True)
class Bad:
    """What stands where a row should be: why it is not one, and the text itself."""

    reason: str
    raw: str


Line = tuple[int, Row | Bad]


@dataclass(kw_only=True)
class Source:
    """An open file of rows. Iterate once; each item is the line on which the row ends (Parquet: its number) and
    the row.
    """

    path: Path
    columns: tuple[str, ...] | None  # None: each row has its own
    total: int  # bytes of the file as it lies on disk, or rows of a Parquet file
    rows: Iterator[Line]
    raw: IO[bytes] | None = None
    seen: int = 0

    def __iter__(self) -> Iterator[Line]:
        return self.rows

    def done(self) -> int:
        """How much of `total` has been read. Decompression reads ahead, by at most a buffer."""
        return self.seen if self.raw is None else self.raw.tell()

    def close(self) -> None:
        if self.raw is not None:
            self.raw.close()


def fingerprint_of(path: Path) -> str:
    """16 hex digits of a file's size and of both its ends: the same wherever it lies and whatever it is called.

    Not of all its bytes: a file of 50 GB would be read twice. A change in the middle that keeps the size goes unseen.
    """
    size = path.stat().st_size
    digest = blake2b(str(size).encode(), digest_size=8)
    with path.open("rb") as file:
        digest.update(file.read(FINGERPRINT_BYTES))
        if size > FINGERPRINT_BYTES:
            file.seek(-min(FINGERPRINT_BYTES, size - FINGERPRINT_BYTES), io.SEEK_END)
            digest.update(file.read(FINGERPRINT_BYTES))
    return digest.hexdigest()


def open_source(path: Path, options: ReadOptions) -> Source:
    """Raises `UnknownFormat`, `FileDamaged` (nothing readable at its start) and `OSError`."""
    format = options.format or _format_of(path)
    if format == "parquet":
        return _open_parquet(path, options)
    raw = path.open("rb")
    try:
        lines = _Lines(_decompressed(raw), path, options)
        source = Source(path=path, columns=None, total=path.stat().st_size, rows=iter(()), raw=raw)
        if format == "csv":
            source.columns, source.rows = _csv_rows(lines, path, options)
        else:
            source.rows = _json_rows(lines)
    except BaseException:
        raw.close()
        raise
    return source


def _format_of(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    if suffixes and suffixes[-1] in FORMATS:
        return FORMATS[suffixes[-1]]
    raise UnknownFormat(
        f'{path.name}: neither CSV, JSON lines nor Parquet by its name; say which in the map: [read] format = "csv"',
        path=str(path),
    )


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    start = raw.read(6)
    raw.seek(0)
    opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
    return raw if opener is None else io.BufferedReader(_Decompressed(opener(raw)), 1 << 18)


class _Decompressed(io.RawIOBase):
    """Gives what is decompressed as it comes: filling a whole buffer first would lose what stands before damage."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found: bytes = self._opened.read1(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class _Lines:
    """Text lines of a file, with what was wrong with the bytes since the last `take`: a CSV row may span
    several lines.
    """

    def __init__(self, file: IO[bytes], path: Path, options: ReadOptions) -> None:
        self.file = file
        self.path = path
        self.encoding = options.encoding
        self.strip_nul = options.strip_nul
        self.number = 0
        self.problem: str | None = None

    def __iter__(self) -> Iterator[str]:
        first = True
        for line in self.byte_lines():
            if first and line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]
            first = False
            if b"\0" in line:
                line = line.replace(b"\0", b"") if self.strip_nul else self._nul(line)
            try:
                yield line.decode(self.encoding)
            except UnicodeDecodeError:
                self.problem = f"is not {self.encoding.upper()} text"
                yield line.decode(self.encoding, "backslashreplace")

    def byte_lines(self) -> Iterator[bytes]:
        try:
            while line := self.file.readline(LINE_BYTES_MAX):
                self.number += 1
                yield line
        except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError, OSError, ValueError) as error:
            # OSError is also how gzip and bzip2 say that the data is not theirs.
            raise FileDamaged(
                f"{self.path.name}: cannot be read further than line {self.number}: {error}",
                path=str(self.path),
                line=self.number,
            ) from error

    def _nul(self, line: bytes) -> bytes:
        self.problem = NUL
        return line

    def take(self) -> str | None:
        problem, self.problem = self.problem, None
        return problem


NUL: Final = "holds the character U+0000, which PostgreSQL cannot store (strip_nul = true in [read] takes it out)"


def _csv_rows(lines: _Lines, path: Path, options: ReadOptions) -> tuple[tuple[str, ...], Iterator[Line]]:
    delimiter = options.delimiter or ("\t" if {".tsv", ".tab"} & set(path.suffixes) else ",")
    reader = csv.reader(iter(lines), delimiter=delimiter, quotechar=options.quote)
    try:
        columns = options.columns or tuple(name.strip() for name in next(reader, []))
        problem = lines.take()
    except csv.Error as error:
        columns, problem = (), f"is not CSV: {error}"
    if problem is not None or not columns or len(set(columns)) < len(columns):
        shown = _shown(", ".join(columns)) or "empty"
        found = f"is {shown}" if problem is None else f"{problem} ({shown})" if columns else problem
        raise FileDamaged(f"{path.name}: its first line should name the columns, each once, but {found}", path=str(path))

    def rows() -> Iterator[Line]:
        width = len(columns)
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield lines.number, Bad(f"is not CSV: {error}", "")
                continue
            problem = lines.take()
            if problem is not None:
                yield lines.number, Bad(problem, delimiter.join(fields))
            elif len(fields) == width:
                yield lines.number, dict(zip(columns, fields, strict=True))
            elif fields:
                yield (
                    lines.number,
                    Bad(f"has {len(fields)} fields where the first line has {width}", delimiter.join(fields)),
                )

    return columns, rows()


def _shown(text: str) -> str:
    """What is quoted of a file that may be no text: its beginning, with nothing that a terminal would act on."""
    start = text[:SHOWN_CHARACTERS]
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in start)
    return shown + ("…" if len(text) > len(start) else "")


def _json_rows(lines: _Lines) -> Iterator[Line]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for line in lines.byte_lines():
        if line.isspace():
            continue
        if lines.number == 1 and line.startswith(b"\xef\xbb\xbf"):
            line = line[3:]
        try:
            row = decode(line)
        except msgspec.ValidationError:
            yield lines.number, Bad("is not a JSON object", line.decode("utf-8", "backslashreplace"))
            continue
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            yield lines.number, Bad(f"is not JSON: {error}", line.decode("utf-8", "backslashreplace"))
            continue
        # The escape may also be the six characters after an escaped backslash, so a hit is looked at again.
        if b"\\u0000" in line and _holds_nul(row):
            if not lines.strip_nul:
                yield lines.number, Bad(NUL, line.decode("utf-8", "backslashreplace"))
                continue
            row = _without_nul(row)
        yield lines.number, row


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in name or _holds_nul(inner) for name, inner in value.items())
    return isinstance(value, list) and any(_holds_nul(inner) for inner in value)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {name.replace("\0", ""): _without_nul(inner) for name, inner in value.items()}
    return [_without_nul(inner) for inner in value] if isinstance(value, list) else value


def _open_parquet(path: Path, options: ReadOptions) -> Source:
    import duckdb  # 40 ms and 30 MB that a CSV need not pay

    connection = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False, "threads": 1}
    )
    try:
        counted = connection.execute("SELECT num_rows FROM parquet_file_metadata(?)", [str(path)]).fetchone()
        result = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
    except duckdb.Error as error:
        raise FileDamaged(f"{path.name}: is not a Parquet file that can be read: {error}", path=str(path)) from error
    columns = tuple(str(column[0]) for column in result.description or ())
    source = Source(path=path, columns=columns, total=int((counted or (0,))[0] or 0), rows=iter(()))

    def rows() -> Iterator[Line]:
        number = 0
        while fetched := result.fetchmany(PARQUET_ROWS):
            for values in fetched:
                number += 1
                row: Row = dict(zip(columns, values, strict=True))
                if _holds_nul(row):
                    if not options.strip_nul:
                        yield number, Bad(NUL, str(row))
                        continue
                    row = _without_nul(row)
                yield number, row
            source.seen = number

    source.rows = rows()
    return source
