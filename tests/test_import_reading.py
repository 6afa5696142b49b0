"""Reading files of rows: formats, compressions, and lines that are none."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from backports import zstd

from milepost.importing._types import ReadOptions
from milepost.importing.reading import Bad, FileDamaged, UnknownFormat, fingerprint_of, open_source

CSV = "id,name\n1,Ann\n2,Björn\n"
ROWS = [{"id": "1", "name": "Ann"}, {"id": "2", "name": "Björn"}]


def rows(path: Path, **options: Any) -> list[dict[str, Any] | Bad]:
    source = open_source(path, ReadOptions(**options))
    try:
        return [row for _, row in source]
    finally:
        source.close()


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("rows.csv", bytes),
        ("rows.csv.gz", gzip.compress),
        ("rows.csv.zst", zstd.compress),
        ("rows.csv.xz", lzma.compress),
        ("rows.csv.bz2", bz2.compress),
        ("misnamed.csv", gzip.compress),
    ],
)
def test_compression(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    """A compression is seen from the first bytes, and how far it is read from the bytes on disk."""
    path = written(tmp_path / name, compress(CSV.encode()))
    source = open_source(path, ReadOptions())
    assert source.columns == ("id", "name")
    assert [row for _, row in source] == ROWS
    assert source.done() == source.total == path.stat().st_size
    source.close()


def test_csv_forms(tmp_path: Path) -> None:
    """Quotes, line breaks in fields, a byte order mark, other delimiters and files without a line of names."""
    text = '\ufeffid,name\r\n1,"Ann, ""A"""\r\n2,"two\nlines"\r\n'
    assert rows(written(tmp_path / "a.csv", text)) == [{"id": "1", "name": 'Ann, "A"'}, {"id": "2", "name": "two\nlines"}]
    assert rows(written(tmp_path / "a.tsv", CSV.replace(",", "\t"))) == ROWS
    assert rows(written(tmp_path / "b.csv", CSV.replace(",", ";")), delimiter=";") == ROWS
    assert rows(written(tmp_path / "c.csv", CSV.partition("\n")[2]), columns=("id", "name")) == ROWS
    assert rows(written(tmp_path / "d.csv", CSV.encode("cp1252")), encoding="cp1252") == ROWS
    assert rows(written(tmp_path / "no-suffix", CSV), format="csv") == ROWS


def test_csv_bad_lines(tmp_path: Path) -> None:
    """A line that is no row says why, with its text and number, and the next one is read."""
    path = written(tmp_path / "a.csv", b"id,name\n1\n2,a,b\n3,\xff\n4,n\0l\n\n5,ok\n")
    source = open_source(path, ReadOptions())
    found = list(source)
    source.close()
    assert [line for line, _ in found] == [2, 3, 4, 5, 7]
    reasons = [row.reason for _, row in found if isinstance(row, Bad)]
    assert reasons[:3] == [
        "has 1 fields where the first line has 2",
        "has 3 fields where the first line has 2",
        "is not UTF-8 text",
    ]
    assert "U+0000" in reasons[3]
    assert found[-1][1] == {"id": "5", "name": "ok"}
    assert rows(path, strip_nul=True)[3] == {"id": "4", "name": "nl"}


@pytest.mark.parametrize("text", ["", "id,id\n1,2\n"])
def test_csv_without_names(tmp_path: Path, text: str) -> None:
    """A first line that does not name the columns, each once, is a reason to stop."""
    with pytest.raises(FileDamaged, match="name the columns"):
        rows(written(tmp_path / "a.csv", text))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\x00\x01\xff\x1b[2J" * 400, r"is not UTF-8 text \(\\x89PNG\)$"),
        (b"id\x1b[31m,id\x1b[31m\n", r"is id\\x1b\[31m, id\\x1b\[31m$"),
        (b"a\rb,c\n" * 900, "is not CSV: new-line character"),
        (b"x" * 100_000, "is xxx"),
    ],
)
def test_what_is_no_text_is_quoted_with_care(tmp_path: Path, raw: bytes, said: str) -> None:
    """Of a file that is no CSV a line is shown, and nothing in it that a terminal would act on."""
    path = tmp_path / "a.csv"
    path.write_bytes(raw if said != "is xxx" else b"x" * 100_000 + b"," + b"x" * 100_000)
    with pytest.raises(FileDamaged, match=said) as caught:
        rows(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_json_lines(tmp_path: Path) -> None:
    """One object a line; blank lines are nothing, other lines say why they are no row."""
    text = '{"a": {"b": [1, 2.5, null]}}\n\n[1]\n{"a": }\n{"n": "x\\u0000y"}\n{"n": "x\\\\u0000y"}'
    path = written(tmp_path / "a.jsonl", text)
    found = rows(path)
    assert found[0] == {"a": {"b": [1, 2.5, None]}}
    assert [row.reason.split(":")[0] for row in found[1:3] if isinstance(row, Bad)] == ["is not a JSON object", "is not JSON"]
    assert isinstance(found[3], Bad) and "U+0000" in found[3].reason and "strip_nul" in found[3].reason
    assert found[4] == {"n": "x\\u0000y"}, "an escaped backslash before u0000 is no NUL"
    assert rows(path, strip_nul=True)[3] == {"n": "xy"}


def test_json_nul_in_names(tmp_path: Path) -> None:
    """A NUL may also stand in a name, deep inside."""
    path = written(tmp_path / "a.jsonl", '{"a": [{"k\\u0000": 1}]}\n')
    assert isinstance(rows(path)[0], Bad)
    assert rows(path, strip_nul=True) == [{"a": [{"k": 1}]}]


def test_parquet(tmp_path: Path) -> None:
    """Typed columns come as Python values, in the order of the file."""
    path = tmp_path / "a.parquet"
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    connection.execute(
        "COPY (SELECT i::int AS id, 'n' || i AS name, DATE '2020-01-02' AS day, 1.5::decimal(10,2) AS kg, "
        "TIMESTAMPTZ '2020-01-02 03:04:05+00' AS at, {'x': [i]} AS nested, chr(0) AS nul FROM range(5000) r(i)) "
        f"TO '{path}'"
    )
    source = open_source(path, ReadOptions(strip_nul=True))
    assert source.columns == ("id", "name", "day", "kg", "at", "nested", "nul")
    found = [row for _, row in source]
    assert source.done() == source.total == 5000
    assert [row["id"] for row in found if isinstance(row, dict)] == list(range(5000))
    assert found[7] == {
        "id": 7,
        "name": "n7",
        "day": date(2020, 1, 2),
        "kg": Decimal("1.50"),
        "at": datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
        "nested": {"x": [7]},
        "nul": "",
    }
    assert isinstance(rows(path)[0], Bad)


def test_damaged(tmp_path: Path) -> None:
    """A file that ends in the middle of its compression gives its whole rows first, then says so."""
    text = "id,name\n" + "".join(f"{number},name {number * 7919 % 10007}\n" for number in range(20_000))
    path = written(tmp_path / "a.csv.gz", gzip.compress(text.encode())[:-20_000])
    found: list[Any] = []
    source = open_source(path, ReadOptions())
    with pytest.raises(FileDamaged, match=r"a.csv.gz: cannot be read further than line \d+"):
        found.extend(row for _, row in source)
    source.close()
    assert len(found) > 9_000
    assert found[-1]["id"] == str(len(found) - 1)
    with pytest.raises(FileDamaged, match="Parquet"):
        rows(written(tmp_path / "a.parquet", "no"))


def test_unknown_format(tmp_path: Path) -> None:
    """A name that says nothing is answered with what to write into the map."""
    with pytest.raises(UnknownFormat, match=r'\[read\] format = "csv"'):
        rows(written(tmp_path / "a.dat.gz", ""))


def test_fingerprint(tmp_path: Path) -> None:
    """A file is the same under another name, and another one with any change of its size or ends."""
    one, two = written(tmp_path / "one.csv", CSV), written(tmp_path / "two.csv", CSV)
    assert fingerprint_of(one) == fingerprint_of(two)
    assert fingerprint_of(written(two, CSV + "3,Cem\n")) != fingerprint_of(one)
    big = b"x" * (3 << 20)
    assert fingerprint_of(written(one, big + b"a")) != fingerprint_of(written(two, big + b"b"))
