"""An app under test, as a process of its own: it logs at a pace with the real client, until it is told to end or killed.

    python -m milepost.bench._soak_app SOURCE FILE PER_SECOND       with MILEPOST_URL, MILEPOST_KEY, MILEPOST_SPOOL_DIR

Its activities have SOURCE as their source and are numbered from 0, as objects. PER_SECOND 0: as fast as they are sent. FILE is
mapped into memory and holds its `Told`: what a process wrote there stays when it is killed. SIGTERM: it logs no more, sends what
is left, and ends. It says `logging` on stdout when it begins.
"""

from __future__ import annotations

import mmap
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from time import monotonic, perf_counter_ns, sleep

from milepost.client import Milepost

__all__ = ["Told"]

TICK_S = 0.005
TICK_CALLS_MAX = 500  # then it looks around
AHEAD_MAX = 20_000  # in memory, where it logs as fast as they are sent
SLOW_NS = 10_000_000
FLUSH_S = 120.0
ACTORS, GROUPS = 10_000, 400


@dataclass(kw_only=True)
class Told:
    """called: calls of `log` that returned. kept: of these, sent or on disk; the others would go with the process. raised: calls
    that raised. given_up: activities that the client dropped, or the server refused. longest_ns: the longest call. slow: calls
    of over 10 ms.
    """

    called: int = 0
    kept: int = 0
    raised: int = 0
    given_up: int = 0
    longest_ns: int = 0
    slow: int = 0

    def packed(self) -> bytes:
        return _LAYOUT.pack(*astuple(self))

    @classmethod
    def read(cls, path: Path) -> Told:
        names = [item.name for item in fields(cls)]
        return cls(**dict(zip(names, _LAYOUT.unpack(path.read_bytes()), strict=True)))


_LAYOUT = struct.Struct(f"={len(fields(Told))}q")


class App:
    """`ending`: set by the signal."""

    def __init__(self, client: Milepost, source: str, write: Callable[[bytes], object]) -> None:
        self.client, self.source = client, source
        self.told = Told()
        self.ending = False
        self._write = write

    def run(self, per_second: float) -> None:
        began, number = monotonic(), 0
        while not self.ending:
            if per_second:
                due = int((monotonic() - began) * per_second)
            else:
                due = number + (TICK_CALLS_MAX if self.client.counters().in_memory < AHEAD_MAX else 0)
            until = min(due, number + TICK_CALLS_MAX)
            while number < until:
                self._log(number)
                number += 1
            self.tell()
            if number >= due or not per_second:
                sleep(TICK_S if per_second else TICK_S / 5)

    def tell(self) -> None:
        counters = self.client.counters()
        self.told.given_up = sum(counters.dropped.values()) + counters.rejected
        self.told.kept = counters.accepted - counters.in_memory - self.told.given_up
        self._write(self.told.packed())

    def _log(self, number: int) -> None:
        told = self.told
        actor = number * 7919 % ACTORS
        began = perf_counter_ns()
        try:
            self.client.log(
                "run",
                f"user-{actor}",
                object=("workout", number),
                group=f"team-{actor % GROUPS}",
                measures={"distance_m": 5200, "duration_s": 1710},
                data={"note": "river loop", "device": "fenix"},
                source=self.source,
            )
        except Exception:
            if not told.raised:
                traceback.print_exc()
            told.raised += 1
        else:
            told.called += 1
        took = perf_counter_ns() - began
        told.longest_ns = max(told.longest_ns, took)
        told.slow += took > SLOW_NS


def main(source: str, file: str, per_second: str) -> None:
    with Path(file).open("w+b") as opened:
        opened.write(Told().packed())
        opened.flush()
        with mmap.mmap(opened.fileno(), _LAYOUT.size) as memory:

            def write(packed: bytes) -> None:
                memory[:] = packed

            app = App(Milepost(), source, write)

            def end(number: int, frame: object) -> None:
                app.ending = True

            signal.signal(signal.SIGTERM, end)
            print("logging", flush=True)
            app.run(float(per_second))
            app.client.close(FLUSH_S)
            app.tell()


if __name__ == "__main__":
    main(*sys.argv[1:])
