"""The client and a real server, while either of them, the network, the disk or the clock fails.

In each: every accepted activity is loaded exactly once, and `log` neither raised nor waited. A table at the end says so. The longest call
is by the wall clock, with whatever else the machine does. `MILEPOST_TEST_CLIENT_KILLS` is how often the server is killed.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from client_site import Check, ClientSite, Traffic, until
from effort import LONG, long_only
from milepost.client import _spool_file
from processes import environment
from proxy import TcpProxy

pytest_plugins = ["fix_client"]
pytestmark = pytest.mark.timeout(600)

KILLS = int(os.environ.get("MILEPOST_TEST_CLIENT_KILLS", "4" if LONG else "2"))

APP = Path(__file__).with_name("client_app.py")


def app(site: ClientSite, actor: str, what: str, *, url: str = "", **environ: str) -> subprocess.Popen[str]:
    """An app as a process of its own (see `client_app`)."""
    given = environment(url=url or site.url, key=site.key, spool_dir=str(site.folder / "spool")) | environ
    return subprocess.Popen(
        [sys.executable, str(APP), actor, what], env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    """The words of the next line."""
    assert process.stdout is not None
    return process.stdout.readline().split()


def numbers(actor: str, count: int) -> set[tuple[str, str]]:
    return {(actor, str(number)) for number in range(count)}


def test_the_server_comes_later(site: ClientSite, checked: Check) -> None:
    """It is down when the app starts, and comes up while it runs; what was logged before comes first."""
    with site.client() as client:
        traffic = Traffic(client, "a")
        traffic.start()
        until(lambda: client.counters().in_spool > 100, "activities go to disk")
        site.start()
        until(lambda: client.counters().sent > 100, "they are sent")
        expected = traffic.finish()
        assert client.flush(60)
        assert client.counters().sent == len(expected)
    checked("server down, up later", expected, site.wait_for(expected), traffic.longest_s)
    assert site.order("a") == [str(number) for number in range(len(expected))]


def test_the_server_is_killed_under_load(site: ClientSite, checked: Check) -> None:
    """Several times, with four threads logging; the client sees cut connections, refusals, and a server that is back."""
    site.start()
    with site.client() as client:
        threads = [Traffic(client, f"a{number}") for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            reached = client.counters().sent + 200
            until(lambda reached=reached: client.counters().sent >= reached, "it goes on")
            site.kill()
            retried = client.counters().retried
            until(lambda retried=retried: client.counters().retried > retried, "the client noticed")
            site.start()
        expected = set().union(*(thread.finish() for thread in threads))
        assert client.flush(60)
        counters = client.counters()
    assert (counters.sent, dict(counters.dropped)) == (len(expected), {})
    checked(
        f"server killed under load, {KILLS} times", expected, site.wait_for(expected), max(one.longest_s for one in threads)
    )


def test_the_network_is_cut_mid_request(site: ClientSite, checked: Check) -> None:
    """Again and again: on the way there, and on the way back, when the server has it and the client does not know."""
    site.start()
    with TcpProxy(site.port) as proxy, site.client(url=proxy.url, retry_s_max=0.05) as client:
        traffic = Traffic(client, "a")
        traffic.start()
        for round_number in range(10):
            if round_number % 2:
                proxy.cut_after = 500
            else:
                proxy.answers_lost = True
            proxy.sever()
            cuts = proxy.cuts
            assert proxy.wait_for_cuts(cuts + 1)
            proxy.cut_after, proxy.answers_lost = None, False
            sent = client.counters().sent
            until(lambda sent=sent: client.counters().sent > sent, "it goes on")
        expected = traffic.finish()
        assert client.flush(60)
    checked("network cut mid-request, 10 times", expected, site.wait_for(expected), traffic.longest_s)


def test_the_app_is_killed_with_a_spill_file(site: ClientSite, checked: Check) -> None:
    """What lay on disk when it was killed is sent by the next process, once, before that has logged anything."""
    with app(site, "a", "spill 500") as process:
        assert said(process) == ["spilled", "500"]
        process.kill()
    assert len(site.files()) == 1
    site.start()
    with site.client() as client:
        until(lambda: client.counters().adopted == 500, "it is sent")
    checked("app killed, file left", numbers("a", 500), site.wait_for(numbers("a", 500)), None)
    assert site.order("a") == [str(number) for number in range(500)]
    assert site.files() == []


def test_who_adopts_is_killed_as_well(site: ClientSite, checked: Check) -> None:
    """Somewhere between sending and taking away: what is sent again counts once."""
    with app(site, "a", "spill 3000") as process:
        assert said(process) == ["spilled", "3000"]
        process.kill()
    site.start()
    for _ in range(5 if LONG else 2):
        with app(site, "b", "adopt 1") as process:
            assert said(process) == ["adopted"]
            process.kill()
    assert site.files()
    with site.client() as client:
        until(lambda: not site.files(), "the file is gone")
        assert client.flush(30)
    checked("adopting app killed, 5 times", numbers("a", 3000), site.wait_for(numbers("a", 3000)), None)


def test_two_apps_with_one_folder(site: ClientSite, checked: Check) -> None:
    """At the same time: each writes its own file, and nothing is sent by both, or by none."""
    processes = [app(site, actor, "spill 400") for actor in "ab"]
    for process in processes:
        assert said(process) == ["spilled", "400"]
    assert len(site.files()) == 2
    processes[0].kill()
    site.start()
    assert processes[1].stdin is not None
    processes[1].stdin.write("finish\n")
    processes[1].stdin.flush()
    assert said(processes[1]) == ["delivered", "True"]
    for process in processes:
        process.communicate(timeout=60)
    with site.client():
        until(lambda: not site.files(), "the other's file is sent, if it was not already")
    expected = numbers("a", 400) | numbers("b", 400)
    checked("two apps, one folder, one killed", expected, site.wait_for(expected), None)


def test_a_slow_disk(site: ClientSite, checked: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write to it takes half a second longer; `log` does not notice."""
    append = _spool_file.SpoolFile.append

    def slowly(self: _spool_file.SpoolFile, batches: object) -> None:
        Event().wait(0.5)
        append(self, batches)  # type: ignore[arg-type]

    monkeypatch.setattr(_spool_file.SpoolFile, "append", slowly)
    with site.client(spill_after_s=0) as client:
        traffic = Traffic(client, "a", pause_s=0.0002)
        traffic.start()
        until(lambda: client.counters().in_spool > 2000, "activities go to disk")
        site.start()
        expected = traffic.finish()
        assert client.flush(60)
    checked("slow disk", expected, site.wait_for(expected), traffic.longest_s)


def test_a_disk_that_hangs(site: ClientSite, checked: Check) -> None:
    """Another program holds the file: writes wait, then fail, and are made when it lets go."""
    with site.client(spill_after_s=0, retry_s_max=30) as client:
        traffic = Traffic(client, "a")
        traffic.start()
        until(lambda: client.counters().in_spool > 0, "activities go to disk")
        with closing(sqlite3.connect(site.files()[0], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            before = client.counters().accepted
            until(lambda: client.counters().accepted > before + 1000, "the app goes on")
            other.execute("ROLLBACK")
        expected = traffic.finish()
        assert not client.close(0)
    site.start()
    with site.client() as client:
        until(lambda: client.counters().adopted == len(expected), "it is sent")
    checked("disk that hangs", expected, site.wait_for(expected), traffic.longest_s)


def test_the_clock_jumps(site: ClientSite, checked: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back an hour, in an outage: pauses, delays and deadlines do not notice."""
    real = time.time
    with site.client() as client:
        traffic = Traffic(client, "a", count=300)
        traffic.start()
        until(lambda: client.counters().in_spool > 0, "activities go to disk")
        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        monkeypatch.setattr("milepost.client.client.time_ns", lambda: int((real() - 3600) * 1e9))
        site.start()
        traffic.join()
        expected = traffic.finish()
        assert client.flush(30)
    checked("clock back an hour", expected, site.wait_for(expected), traffic.longest_s)


@pytest.mark.parametrize(
    "how", ["preloaded fork", "multiprocessing spawn", *(("fork", "multiprocessing fork") if LONG else ())]
)
def test_forks(site: ClientSite, checked: Check, how: str) -> None:
    """The child has a client of its own; what the parent had logged and not sent is sent by the parent alone."""
    site.start()
    with app(site, "a", how) as process:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert out.split() == ["parent", "True"]
    expected = numbers("a", 300) | {(f"a-child{child}", str(number)) for child in range(3) for number in range(100)}
    checked(how, expected, site.wait_for(expected), None)
    assert site.files() == []


@long_only
def test_a_fork_while_files_are_written(site: ClientSite, checked: Check) -> None:
    """In an outage, again and again: neither the parent's file nor a child's suffers."""
    with app(site, "a", "forks in an outage") as process:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
    assert out.split() == ["forked", "20"]
    assert not list((site.folder / "spool").rglob("*.corrupt*"))
    site.start()
    with site.client():
        until(lambda: not site.files(), "all files are sent")
    expected = numbers("a", 2000) | {(f"a-child{child}", str(number)) for child in range(20) for number in range(10)}
    checked("20 forks in an outage", expected, site.wait_for(expected), None)


def test_gunicorn_with_a_preloaded_app(site: ClientSite, checked: Check) -> None:
    """Its workers are forked from a master that has made the client and logged with it."""
    pytest.importorskip("gunicorn")
    site.start()
    words = ["-m", "gunicorn", "--preload", "-w", "3", "-b", "127.0.0.1:0", "--chdir", str(APP.parent), "client_app:wsgi"]
    given = environment(url=site.url, key=site.key, spool_dir=str(site.folder / "spool"))
    with subprocess.Popen([sys.executable, *words], env=given, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = 0
        for text in process.stderr:
            if "Listening at" in text:
                port = int(text.split(":")[-1].split()[0])
                break
        drain = Thread(target=process.stderr.read, daemon=True)
        drain.start()
        seen: set[str] = set()
        with ThreadPoolExecutor(12) as asking:  # one by one, a single worker might answer them all
            while len({one.split()[0] for one in seen}) < 2:
                assert len(seen) < 6_000, "one worker did it all"
                seen |= set(asking.map(ask, [port] * 60))
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        drain.join()
    with site.client():  # a worker that had no time to send all at its end has left it on disk
        until(lambda: not site.files(), "what was left is sent")
    expected = {("master", "0"), *((one.split()[0], one.split()[1]) for one in seen)}
    checked("gunicorn --preload", expected, site.wait_for(expected), None)


def ask(port: int) -> str:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/") as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    "how", ["returns", "in atexit", "a thread", *(("sys.exit", "raises", "before atexit") if LONG else ())]
)
def test_the_end_of_a_process(site: ClientSite, checked: Check, how: str) -> None:
    """However an app ends by itself, what it logged is sent before it is gone, or lies on disk."""
    site.start()
    with app(site, "a", f"ends {how}") as process:
        process.communicate(timeout=60)
        assert process.returncode == (1 if how == "raises" else 0)
    with site.client():
        until(lambda: not site.files(), "what was left is sent")
    expected = numbers("a", 100)
    checked(f"end: {how}", expected, site.wait_for(expected), None)


def test_the_end_while_the_server_is_away(site: ClientSite, checked: Check) -> None:
    """Within its deadline; the rest is on disk, all of it."""
    began = time.monotonic()
    with app(site, "a", "ends returns", url=site.url) as process:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert time.monotonic() - began < 20
    assert len(site.files()) == 1
    site.start()
    with site.client() as client:
        until(lambda: client.counters().adopted == 100, "it is sent")
    checked("end while the server is away", numbers("a", 100), site.wait_for(numbers("a", 100)), None)


def test_fifty_threads(site: ClientSite, checked: Check) -> None:
    """As fast as they can: all is taken, loaded once, and in each thread's order."""
    site.start()
    with site.client(memory_activities_max=1_000_000) as client:
        threads = [Traffic(client, f"a{number}", pause_s=0, count=400) for number in range(50)]
        for thread in threads:
            thread.start()
        expected = set()
        for thread in threads:
            thread.join()
            expected |= thread.finish()
        assert client.flush(120)
    checked("50 threads", expected, site.wait_for(expected), max(one.longest_s for one in threads))
    assert site.order("a7") == [str(number) for number in range(400)]
