"""Running an import: nothing twice and nothing lost, whenever it is killed; what is rejected is said."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fix_import import RecordingSink, imported
from milepost.importing import FileDamaged, parse_map

MAP = """
[[members]]
group = "g"
actor = "{who}"
role = "member"

[[activities]]
where = { kind = { not = "skip" } }
key = "{id}"
occurred_at = "{at}"
actor = "{who}"
verb = "{kind}"
measures.n = "{n}"
"""


def write_rows(path: Path, count: int, *, bad_every: int = 0) -> Path:
    """Rows that are valid, but for one in `bad_every`, whose number is none."""
    with path.open("w") as file:
        file.write("id,at,who,kind,n\n")
        for number in range(count):
            n = "none" if bad_every and number % bad_every == 0 else number
            file.write(f"k{number},2026-03-01T07:12:00Z,actor-{number % 7},run,{n}\n")
    return path


def rejected(folder: Path) -> list[dict[str, Any]]:
    path = folder / "rejects.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_summary(tmp_path: Path) -> None:
    """What was read, skipped, accepted and rejected adds up, by reason, and the rejects file has the rows."""
    path = write_rows(tmp_path / "rows.csv", 100, bad_every=10)
    with path.open("a") as file:
        file.write("s1,2026-03-01T07:12:00Z,ann,skip,1\nd1,2026-03-01T07:12:00Z,ann,dance,1\none,field\n")
    sink = RecordingSink(refuse_verb="dance")
    summary = await imported(path, parse_map(MAP), sink, tmp_path, batch_rows=7)
    counts = summary.counts
    assert (counts.read, counts.skipped, counts.accepted, counts.loaded) == (103, 1, 90, 90)
    assert (counts.members, counts.rejected, counts.duplicates, summary.resumed) == (8, 12, 0, False)
    assert counts.reasons == {
        "activities[1] /measures/n: is not a number": 10,
        "activities[1] /verb: 'dance' is refused": 1,
        "has 2 fields where the first line has 5": 1,
    }
    found = rejected(tmp_path)
    assert len(found) == 12
    assert found[0] == {
        "file": "rows.csv",
        "line": 2,
        "section": "activities[1]",
        "pointer": "/measures/n",
        "reason": "is not a number",
        "detail": "none",
        "row": {"id": "k0", "at": "2026-03-01T07:12:00Z", "who": "actor-0", "kind": "run", "n": "none"},
    }
    by_reason = {one["reason"]: one for one in found}
    assert by_reason["'dance' is refused"]["line"] == 103
    assert by_reason["'dance' is refused"]["row"]["id"] == "d1"
    assert by_reason["has 2 fields where the first line has 5"]["row"] == "one,field"
    assert summary.flat()["accepted"] == 90
    assert not list((tmp_path / "imports").iterdir()), "nothing is left to go on from"


async def test_second_import_counts_nothing(tmp_path: Path) -> None:
    """The same file again is read in full, and every activity was there."""
    path = write_rows(tmp_path / "rows.csv", 50)
    sink = RecordingSink()
    await imported(path, parse_map(MAP), sink, tmp_path)
    summary = await imported(path, parse_map(MAP), sink, tmp_path)
    assert (summary.counts.accepted, summary.counts.loaded, summary.counts.duplicates) == (50, 0, 50)
    assert len(sink.activities) == 50


@pytest.mark.parametrize("fail_at", [1, 2, 5, 9])
async def test_resume(tmp_path: Path, fail_at: int) -> None:
    """An import that failed goes on after its last durable batch; counts and rejects are those of one whole run."""
    path = write_rows(tmp_path / "rows.csv", 100, bad_every=10)
    whole = parse_map(MAP)
    sink = RecordingSink(fail_at_send=fail_at)
    with pytest.raises(ConnectionError):
        await imported(path, whole, sink, tmp_path, batch_rows=10)
    summary = await imported(path, whole, sink, tmp_path, batch_rows=10)
    assert summary.resumed
    assert sorted(row["key"] for row in sink.activities) == sorted(f"k{n}" for n in range(100) if n % 10)
    assert (summary.counts.read, summary.counts.accepted, summary.counts.rejected) == (100, 90, 10)
    assert [one["line"] for one in rejected(tmp_path)] == list(range(2, 102, 10))
    assert sink.sends == 10, "each batch was sent once, and the one that failed once more"


async def test_restart_and_other_imports(tmp_path: Path) -> None:
    """`restart` begins anew; so do another map, another tenant's database and a changed file, by themselves."""
    path = write_rows(tmp_path / "rows.csv", 40)
    whole = parse_map(MAP)
    with pytest.raises(ConnectionError):
        await imported(path, whole, RecordingSink(fail_at_send=2), tmp_path, batch_rows=10)
    elsewhere = RecordingSink()
    elsewhere.identity = "another database"
    for sink, used, options in (
        (elsewhere, whole, {}),
        (RecordingSink(), parse_map(MAP + "status = 'ok'"), {}),
        (RecordingSink(), whole, {"restart": True}),
    ):
        summary = await imported(path, used, sink, tmp_path, **options)
        assert not summary.resumed
        assert len(sink.activities) == 40
    with pytest.raises(ConnectionError):
        await imported(path, whole, RecordingSink(fail_at_send=2), tmp_path, batch_rows=10)
    sink = RecordingSink()
    assert not (await imported(write_rows(path, 41), whole, sink, tmp_path)).resumed
    assert len(sink.activities) == 41


async def test_unreadable_progress_begins_anew(tmp_path: Path) -> None:
    """A progress file that is no JSON, as a full disk may leave it, costs a second reading and nothing else."""
    path = write_rows(tmp_path / "rows.csv", 40)
    sink = RecordingSink(fail_at_send=3)
    with pytest.raises(ConnectionError):
        await imported(path, parse_map(MAP), sink, tmp_path, batch_rows=10)
    (progress,) = (tmp_path / "imports").iterdir()
    progress.write_text("{")
    summary = await imported(path, parse_map(MAP), sink, tmp_path, batch_rows=10)
    assert (summary.resumed, summary.counts.duplicates, len(sink.activities)) == (False, 20, 40)


async def test_bounded_batches_on_their_way(tmp_path: Path) -> None:
    """No more batches wait to be loaded than allowed."""
    sink = RecordingSink()
    await imported(write_rows(tmp_path / "rows.csv", 200), parse_map(MAP), sink, tmp_path, batch_rows=5, pending_batches_max=3)
    assert sink.sends == 40
    assert sink.pending_max <= 3


async def test_batches_bounded_in_bytes(tmp_path: Path) -> None:
    """Large contents make smaller batches, and what no request could hold is rejected."""
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for number, size in enumerate((1 << 20,) * 9 + (20 << 20,)):
            file.write(json.dumps({"id": number, "at": "2026-03-01T07:12:00Z", "text": "x" * size}) + "\n")
    sink = RecordingSink()
    text = "[[activities]]\nkey = '{id}'\noccurred_at = '{at}'\nactor = 'a'\nverb = 'v'\ncontent = '{text}'"
    summary = await imported(path, parse_map(text), sink, tmp_path)
    assert (sink.sends, summary.counts.accepted) == (3, 9)
    assert summary.counts.reasons == {"activities[1]: is larger than 20 MiB": 1}


async def test_refused_commands(tmp_path: Path) -> None:
    """A command that the database refuses is rejected with what it said, and the others count."""
    path = tmp_path / "rows.csv"
    path.write_text("who,role\nann,member\nbob,refused\n")
    text = "[[members]]\ngroup = 'g'\nactor = '{who}'\nrole = '{role}'"
    summary = await imported(path, parse_map(text), RecordingSink(), tmp_path)
    assert (summary.counts.members, summary.counts.rejected) == (1, 1)
    assert rejected(tmp_path)[0]["row"]["actor"] == "bob"


async def test_damaged_file(tmp_path: Path) -> None:
    """What stands before the damage is in; a repaired file brings the rest."""
    import gzip

    text = write_rows(tmp_path / "rows.csv", 30_000).read_bytes()
    packed = gzip.compress(text)
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    sink = RecordingSink()
    whole = parse_map(MAP)
    with pytest.raises(FileDamaged):
        await imported(path, whole, sink, tmp_path)
    path.write_bytes(packed)
    await imported(path, whole, sink, tmp_path)
    assert len({row["key"] for row in sink.activities}) == len(sink.activities) == 30_000


async def test_watch(tmp_path: Path) -> None:
    """Whoever watches sees the share of all bytes grow to 1."""
    seen: list[tuple[str, float]] = []
    await imported(
        write_rows(tmp_path / "rows.csv", 3_000),
        parse_map(MAP),
        RecordingSink(),
        tmp_path,
        batch_rows=500,
        watch=lambda step, share, rows, counts: seen.append((step, share)),
    )
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert {step for step, _ in seen} == {"members of rows.csv", "activities of rows.csv"}


KILLED = """
import asyncio, sys
from pathlib import Path
from fix_import import RecordingSink, imported
from milepost.importing import parse_map

class FileSink(RecordingSink):
    async def send(self, activities):
        with open(sys.argv[3], "ab") as file:
            file.write(b"".join(one + b"\\n" for one in activities))
        print("sent", flush=True)
        return await super().send(activities)

rows, whole, _, folder = map(Path, sys.argv[1:])
asyncio.run(imported(rows, parse_map(whole.read_text()), FileSink(), folder, batch_rows=100))
print("done", flush=True)
"""


async def test_killed_again_and_again(tmp_path: Path) -> None:
    """SIGKILL in the middle, several times: each activity arrives, and at most one batch a kill arrives twice."""
    path = write_rows(tmp_path / "rows.csv", 5_000, bad_every=50)
    (tmp_path / "map.toml").write_text(MAP)
    arrived = tmp_path / "arrived.jsonl"
    kills = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            KILLED,
            *(str(one) for one in (path, tmp_path / "map.toml", arrived, tmp_path)),
            cwd=Path(__file__).parent,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        lines = 0
        async for line in process.stdout:
            lines += 1
            if line == b"sent\n" and lines == 11 and kills < 3:
                process.send_signal(signal.SIGKILL)
                kills += 1
        await process.wait()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    keys = [json.loads(line)["key"] for line in arrived.read_text().splitlines()]
    assert sorted(set(keys)) == sorted(f"k{number}" for number in range(5_000) if number % 50)
    assert len(keys) - len(set(keys)) <= 3 * 100
    assert [one["line"] for one in rejected(tmp_path)] == list(range(2, 5_002, 50))
