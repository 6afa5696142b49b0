"""The client: how long `log` keeps an app, with the server up, down, and down with a slow disk; and how fast its sender is.

Rounds go through all conditions in turn. In each, one thread and then fifty log at a pace (an app's other work is a pause here), and
then fifty as fast as they can. What is timed is each call, by the wall clock, from just before to just after it: what the app sees,
with whatever the operating system and the interpreter's lock add to it. That matters with fifty threads that never pause: the
interpreter gives each of them its turn for `sys.getswitchinterval()`, so a thread that is switched away in the middle of a call
waits for all the others. This is rare (percentiles do not show it) and long (the longest call does), and the same with any code;
`log_cpu_us` is what the call itself costs then.

A call after a pause finds the processor's caches cold, so a call of a function that does nothing, at the same pace, is timed
beside it.

The slow disk is a real one, on which each write is made to take `SLOW_S` longer.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter, sleep, thread_time
from typing import Any

from milepost.bench._ground import ground, say
from milepost.bench._report import Figure, Report, percentile
from milepost.bench._serving import serving
from milepost.client import Counters, Milepost
from milepost.client._spool_file import SpoolFile
from milepost.errors import MilepostError
from milepost.settings import Settings

__all__ = ["measure"]

THREADS = 50
CALLS = 6_000  # of one thread, or of fifty together, in one round
ROUNDS = 3
PAUSE_S = 0.001  # between two calls of a thread; fifty take fifty times as long
SLOW_S = 0.5
SENT = 100_000
MEDIAN_US, P99_US = 10, 50

CONDITIONS = ("up", "down", "slow_disk")


async def measure(settings: Settings, folder: Path) -> Report:
    report = Report(
        scenario="client",
        settings={
            "threads": THREADS,
            "calls_a_round": CALLS,
            "rounds": ROUNDS,
            "pause_s": PAUSE_S,
            "slow_disk_s": SLOW_S,
            "switch_interval_s": sys.getswitchinterval(),
        },
    )
    async with ground(settings, folder, tenants=2, rows=1_000, actors=100, groups=10, days=1) as made:
        async with serving(made.url, made.settings.data_dir) as (port, _):
            url, key = f"http://127.0.0.1:{port}", made.keys[0]
            taken: dict[str, list[float]] = {}
            cpu: list[float] = []
            rates: list[float] = []
            for number in range(ROUNDS):
                for condition in CONDITIONS:
                    say(f"round {number + 1}, {condition}")
                    spool = folder / f"spool-{condition}-{number}"
                    where = url if condition == "up" else "http://127.0.0.1:9"
                    with _slow_disk() if condition == "slow_disk" else nullcontext():
                        found, spent = await asyncio.to_thread(_round, where, key, spool)
                    for name, times in found.items():
                        taken.setdefault(f"{name}_{condition}", []).extend(times)
                    cpu += spent
                times, _ = await asyncio.to_thread(_timed, _nothing, threads=1, calls=CALLS, pause_s=PAUSE_S)
                taken.setdefault("nothing", []).extend(times)
                rates.append(await asyncio.to_thread(_throughput, url, key, folder / "spool-rate"))
    nothing = taken.pop("nothing")
    for name, times in taken.items():
        report.figures += [
            Figure(name=f"log_p50_us_{name}", value=percentile(times, 0.5) * 1e6, unit="us", at_most=MEDIAN_US),
            Figure(name=f"log_p99_us_{name}", value=percentile(times, 0.99) * 1e6, unit="us", at_most=P99_US),
            Figure(name=f"log_longest_ms_{name}", value=max(times) * 1e3, unit="ms"),
        ]
    report.figures += [
        Figure(name="nothing_p50_us_1_thread", value=percentile(nothing, 0.5) * 1e6, unit="us"),
        Figure(name="nothing_p99_us_1_thread", value=percentile(nothing, 0.99) * 1e6, unit="us"),
        Figure(name="log_cpu_us", value=percentile(cpu, 0.5) * 1e6, unit="us"),
        Figure(name="sent_activities_s", value=percentile(rates, 0.5), unit="activities/s"),
    ]
    return report


def _round(url: str, key: str, spool: Path) -> tuple[dict[str, list[float]], list[float]]:
    """One condition. → the calls' seconds by name, and the CPU seconds of one call when nothing pauses, by thread."""
    client = Milepost(url, key, spool_dir=spool, spill_after_s=0.2, retry_s_max=1.0)
    client.log("run", "warm-up")
    log = client.log
    found = {
        "1_thread": _timed(log, threads=1, calls=CALLS, pause_s=PAUSE_S)[0],
        "50_threads": _timed(log, threads=THREADS, calls=CALLS // THREADS, pause_s=PAUSE_S * THREADS)[0],
    }
    found["50_threads_flat_out"], spent = _timed(log, threads=THREADS, calls=CALLS // THREADS, pause_s=0)
    client.close(0)  # what is not sent goes to disk, also where the server is up
    _require_all(client.counters())
    return found, spent


def _nothing(verb: str, actor: str, **more: Any) -> None:
    """What a call costs that does nothing."""


def _timed(log: Callable[..., None], *, threads: int, calls: int, pause_s: float) -> tuple[list[float], list[float]]:
    times: list[list[float]] = [[] for _ in range(threads)]
    spent = [0.0] * threads
    ready = threading.Barrier(threads)

    def work(number: int) -> None:
        own, actor = times[number], f"user-{number}"
        ready.wait()
        began_cpu = thread_time()
        for call in range(calls):
            began = perf_counter()
            log(
                "run",
                actor,
                object=("workout", call),
                group="team-3",
                measures={"distance_m": 5200},
                data={"note": "river loop", "device": "fenix"},
                source="strava",
            )
            own.append(perf_counter() - began)
            if pause_s:
                sleep(pause_s)
        spent[number] = (thread_time() - began_cpu) / calls

    _together(work, threads)
    return [one for own in times for one in own], spent


def _throughput(url: str, key: str, spool: Path) -> float:
    """Activities a second, from the first call until the server has acknowledged the last one."""
    with Milepost(url, key, spool_dir=spool, memory_activities_max=10 * SENT, memory_bytes_max=2**30) as client:
        began = perf_counter()
        for number in range(SENT):
            client.log("run", f"user-{number % 100}", object=("workout", number), measures={"distance_m": 5200})
        if not client.flush(120):
            raise MilepostError(f"The server did not take {SENT} activities in two minutes.")
        seconds = perf_counter() - began
        _require_all(client.counters())
    return SENT / seconds


def _require_all(counters: Counters) -> None:
    if counters.dropped or counters.rejected or counters.in_memory:
        raise MilepostError(f"Not every activity was kept: {counters}")


def _together(work: Callable[[int], None], threads: int) -> None:
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


@contextmanager
def _slow_disk() -> Iterator[None]:
    append = SpoolFile.append

    def slowly(self: SpoolFile, batches: Sequence[Any]) -> None:
        sleep(SLOW_S)
        append(self, batches)

    SpoolFile.append = slowly  # type: ignore[method-assign]
    try:
        yield
    finally:
        SpoolFile.append = append  # type: ignore[method-assign]
