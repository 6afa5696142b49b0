"""The spool: what is written is there, in order, for exactly one; and what is damaged or full harms nothing else."""

from __future__ import annotations

import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from answering import Answering
from client_site import until
from milepost.client import Failure, Milepost
from milepost.client._batch import Batch
from milepost.client._spool_file import SpoolFile
from milepost.durable_file import FileCorrupt
from milepost.folder import Folder

pytest_plugins = ["fix_client"]

NOWHERE = "http://127.0.0.1:9"


def line(number: int) -> bytes:
    return b'{"n":%d}\n' % number


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.db"))


def actors(answering: Answering) -> list[str]:
    return [one["actor"] for request in answering.requests for one in request]


def log_until_dropped(client: Milepost, reason: str) -> int:
    """Numbered ones of about 9 kB that hardly compress. → how many."""
    noise = [f"{number * 2654435761 % 2**32:x}" for number in range(4000)]
    number = 0
    while not client.counters().dropped:
        client.log("run", str(number), content=noise[number % 3000 :][:1000])
        number += 1
    assert client.counters().dropped.keys() == {reason}
    return number


def away(folder: Path, **settings: Any) -> Milepost:
    """A client whose server is not there, and which does not wait long for it."""
    return Milepost(NOWHERE, "mp_1_x", spool_dir=folder, **({"spill_after_s": 0, "retry_s_max": 0.1} | settings))


def left_behind(folder: Path, url: str, count: int, *, name: str = "a") -> None:
    """A process that could not send, and ended."""
    code = f"""
from milepost import Milepost
client = Milepost({url!r}, "mp_1_x", spool_dir={str(folder)!r}, retry_s_max=3600, exit_timeout_s=0)
for number in range({count}):
    client.log("run", f"{name}{{number}}")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_batches_come_back_as_they_were(tmp_path: Path) -> None:
    """Several as one, in order; what is replaced by a rest keeps its place."""
    path = tmp_path / "x.db"
    file = SpoolFile(path)
    file.append([Batch.of(seq, [line(seq), line(seq + 100)]) for seq in (1, 2, 3)])
    file.close()
    file = SpoolFile(path)
    assert [(one.seq, one.rows) for one in file.index()] == [(1, 2), (2, 2), (3, 2)]
    both = file.read((1, 2))
    assert both.lines() == [line(1), line(101), line(2), line(102)]
    file.replace((1, 2), both.without(3))
    assert [(one.seq, one.rows) for one in file.index()] == [(1, 1), (3, 2)]
    assert file.read((1, 3)).lines() == [line(102), line(3), line(103)]
    file.close()


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    """Also where SQLite has no reason to."""
    path = tmp_path / "x.db"
    file = SpoolFile(path)
    file.append([Batch.of(1, [line(1)])])
    file.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE batch SET body = zeroblob(length(body))")
    connection.close()
    file = SpoolFile(path)
    with pytest.raises(FileCorrupt):
        file.read((1,))
    file.close()


def test_a_file_belongs_to_one(tmp_path: Path) -> None:
    """As long as its owner lives nobody else gets it; then one does."""
    folder = Folder(tmp_path / "f")
    mine = folder.claim_new()
    SpoolFile(mine.path).close()
    assert list(Folder(folder.path).orphans()) == []
    mine.release()
    (theirs,) = folder.orphans()
    assert theirs.path == mine.path
    assert list(folder.orphans()) == []
    theirs.discard()
    assert list(folder.path.iterdir()) == []


def test_folders_are_private(tmp_path: Path) -> None:
    """Nobody else may read what an app logged."""
    client = away(tmp_path / "spool")
    client.log("run", "a")
    client.close(0)
    (file,) = files(tmp_path)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_cannot_be_sent_is_spilled_and_replayed(answering: Answering, tmp_path: Path) -> None:
    """In order, by the next process, before it is gone from the disk."""
    left_behind(tmp_path, answering.url.replace("127.0.0.1", "127.0.0.2"), 0)
    client = Milepost(answering.url, "mp_1_x", spool_dir=tmp_path, spill_after_s=0, retry_s_max=0.1)
    accept = answering.answers[0]
    answering.answers[0] = (503, {}, b"")
    for number in range(500):
        client.log("run", f"a{number}")
    until(lambda: client.counters().in_spool == 500, "all is on disk")
    assert not client.close(0)
    answering.answers[0] = accept
    answering.requests.clear()
    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path) as next_one:
        until(lambda: next_one.counters().adopted == 500, "all is sent")
        counters = next_one.counters()
    assert actors(answering) == [f"a{number}" for number in range(500)]
    assert (counters.accepted, counters.sent) == (0, 0)
    assert files(tmp_path) == []


def test_order_holds_across_an_outage(answering: Answering, tmp_path: Path) -> None:
    """What is on disk goes before what was logged later, within one process."""
    accept = answering.answers[0]
    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path, spill_after_s=0, retry_s_max=0.05, delay_s=0) as client:
        number = 0
        for _ in range(5):
            for broken in (True, False):
                answering.answers[0] = (503, {}, b"") if broken else accept
                for _ in range(100):
                    client.log("run", str(number))
                    number += 1
                if broken:
                    until(lambda: client.counters().in_spool > 0, "something is on disk")
        assert client.flush(30)
        counters = client.counters()
    seen: list[str] = []
    for actor in actors(answering):
        if actor not in seen:
            seen.append(actor)
    assert seen == [str(one) for one in range(number)]
    assert counters.spilled == counters.replayed > 0
    assert counters.sent == number
    assert files(tmp_path) == []


def test_each_of_many_files_is_adopted_once(answering: Answering, tmp_path: Path) -> None:
    """By several clients that start at the same time."""
    dead = answering.url.replace("127.0.0.1", "127.0.0.1")
    answering.answers[0] = (503, {}, b"")
    for name in "abcd":
        left_behind(tmp_path, dead, 50, name=name)
    assert len(files(tmp_path)) == 4
    from answering import accept_all

    answering.answers[0] = accept_all
    answering.requests.clear()
    clients = [Milepost(answering.url, "mp_1_x", spool_dir=tmp_path) for _ in range(3)]
    until(lambda: sum(client.counters().adopted for client in clients) == 200, "all is sent")
    assert all(client.close() for client in clients)
    found = actors(answering)
    assert len(found) == len(set(found)) == 200
    for name in "abcd":
        assert [actor for actor in found if actor[0] == name] == [f"{name}{number}" for number in range(50)]
    assert files(tmp_path) == []


@pytest.mark.parametrize("damage", ["no database", "in the middle", "a hole in its pages"])
def test_a_damaged_file_is_set_aside(
    answering: Answering, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """Under another name, loudly; the client goes on, and another file is sent."""
    answering.answers[0] = (503, {}, b"")
    left_behind(tmp_path, answering.url, 3000, name="a")
    (file,) = files(tmp_path)
    left_behind(tmp_path, answering.url, 10, name="b")
    if damage == "no database":
        file.write_bytes(b"this is not a database" * 1000)
    else:
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        whole = bytearray(file.read_bytes())
        middle = len(whole) // 2
        whole[middle : middle + 3000] = b"\xff" * 3000 if damage == "in the middle" else b"\0" * 3000
        file.write_bytes(whole)
    from answering import accept_all

    answering.answers[0] = accept_all
    with Milepost(answering.url, "mp_1_x", spool_dir=tmp_path) as client:
        client.log("run", "new")
        until(lambda: {"new", "b9"} <= set(actors(answering)), "the others are sent")
        until(lambda: not files(tmp_path), "it is set aside")
        assert client.flush(20)
    assert list(tmp_path.rglob("*.db.corrupt-*"))
    assert [record.levelname for record in caplog.records if "is damaged" in record.message] == ["ERROR"]


def test_its_own_file_is_damaged(answering: Answering, tmp_path: Path) -> None:
    """What was in it is counted as dropped; a new one is begun."""
    failures: list[Failure] = []
    accept = answering.answers[0]
    answering.answers[0] = (503, {}, b"")
    client = Milepost(answering.url, "mp_1_x", spool_dir=tmp_path, spill_after_s=0, retry_s_max=0.1, on_error=failures.append)
    with client:
        client.log("run", "lost")
        until(lambda: client.counters().in_spool == 1, "it is on disk")
        (file,) = files(tmp_path)
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE batch SET body = zeroblob(length(body))")
        connection.close()
        answering.answers[0] = accept
        client.log("run", "new")
        assert client.flush(20)
        counters = client.counters()
    assert (counters.accepted, counters.sent, counters.dropped["spool_corrupt"], counters.in_spool) == (2, 1, 1, 0)
    assert [failure.reason for failure in failures] == ["spool_corrupt"]


def test_the_folder_has_a_bound(tmp_path: Path) -> None:
    """Beyond it, and when memory is full as well, the newest are dropped and counted."""
    client = away(tmp_path, spool_bytes_max=300_000, memory_bytes_max=200_000, delay_s=0)
    log_until_dropped(client, "spool_full")
    assert not client.close(0)
    counters = client.counters()
    assert sum(part.stat().st_size for part in tmp_path.rglob("*") if part.is_file()) <= 300_000
    assert counters.in_spool > 0
    assert counters.accepted == counters.in_spool + sum(counters.dropped.values())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if not made or made.returncode:
        pytest.skip("only root may mount a small file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_the_disk_is_full(small_disk: Path, answering: Answering) -> None:
    """Memory holds on as long as it can, then the newest are dropped; with the server back, all that was kept is sent."""
    accept = answering.answers[0]
    answering.answers[0] = (503, {}, b"")
    client = Milepost(
        answering.url, "mp_1_x", spool_dir=small_disk, spill_after_s=0, retry_s_max=0.1, delay_s=0, memory_bytes_max=400_000
    )
    number = log_until_dropped(client, "spool_failed")
    answering.requests.clear()
    answering.answers[0] = accept
    assert client.flush(60)
    counters = client.counters()
    assert client.close()
    assert counters.sent == number - sum(counters.dropped.values())
    kept = actors(answering)
    assert len(set(kept)) == counters.sent
    assert [one for index, one in enumerate(kept) if one not in kept[:index]] == sorted(set(kept), key=int)
    assert files(small_disk) == []


def test_a_limit_on_the_size_of_files(tmp_path: Path, answering: Answering) -> None:
    """As with a full disk, where the limit is the process's own (RLIMIT_FSIZE)."""
    code = f"""
from milepost import Milepost
client = Milepost({NOWHERE!r}, "mp_1_x", spool_dir={str(tmp_path)!r}, spill_after_s=0, retry_s_max=0.1, delay_s=0, memory_bytes_max=400_000)
for number in range(200):
    client.log("run", str(number), content=[f"{{n * 2654435761 % 2**32:x}}" for n in range(number, number + 1000)])
client.close(0.5)
counters = client.counters()
assert counters.accepted == 200 == counters.in_spool + sum(counters.dropped.values()), counters
assert counters.dropped["spool_failed"] > 0, counters
assert counters.in_spool > 0, counters
"""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, preexec_fn=limit)


@pytest.mark.parametrize("kind", ["a file in its place", "not a folder"])
def test_a_folder_that_cannot_be(tmp_path: Path, answering: Answering, kind: str) -> None:
    """Without a spool the client works on, in memory; it says so once."""
    place = tmp_path / "file"
    place.write_text("")
    with Milepost(answering.url, "mp_1_x", spool_dir=place if kind == "not a folder" else place / "below") as client:
        client.log("run", "a")
        assert client.flush(20)
    lonely = away(place)
    lonely.log("run", "a")
    assert not lonely.close(0.1)
    assert lonely.counters().dropped == {"spool_failed": 1}
