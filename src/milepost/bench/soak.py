"""The soak: apps log for minutes at 80 % of what the machine can do, while every 20 s something is killed, and nothing may be lost.

Apps with the real client (`_soak_app`), `milepost serve` with two processes, and PostgreSQL share the machine. First the same apps log
as fast as all of it takes, to the last row loaded: that is the peak. Then they log at a pace, and in turn SIGKILL hits a server
process (its parent starts another), the process that holds the lanes, PostgreSQL (started again at once), an app (started
again with the same folder), and, with `queue="redis"`, the Redis before the queue (started again at once). At the end all that is left is sent and loaded, counted, and verified.

An app that is killed takes with it what it had in memory, as its page says: that is counted apart, and everything else must be there.
The last app is never killed. Memory is compared over two windows, each a whole round of kills long, so that both have processes of the
same ages: one after the first minute, one at the end. In each it is the height that is taken, since just after a kill there is little.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

from milepost.bench._ground import Ground, ground, say
from milepost.bench._memory import Memory, children_of
from milepost.bench._redis import BenchRedis, redis_server
from milepost.bench._report import Figure, Report
from milepost.bench._soak_apps import SPOOL, App, Became, became
from milepost.client import Milepost
from milepost.errors import InvalidInput, MilepostError
from milepost.intake.queue import backlog
from milepost.postgres import Database, load_queries
from milepost.rollups.verify import Verification, verify
from milepost.settings import Settings

__all__ = ["measure"]

_queries = load_queries(__package__, "soak.sql")

MINUTES = 10.0
APPS, WORKERS = 3, 2
SHARE = 0.8  # of the peak
PEAK_S = 20.0
KILL_S = 20.0
WARM_S = 60.0
SAMPLE_S = 1.0
LOOK_S = 0.1
SETTLE_S = 300.0  # for what is left at the end, to be sent and to be loaded
ROWS_BEFORE = 20_000
GROWTH_SHARE, GROWTH_MIB = 0.10, 8
STALL_MS = 500  # far above what a busy machine makes of 10 µs, far below any wait for a network, a disk or a server
MIB = 2**20


async def measure(
    settings: Settings, folder: Path, *, minutes: float = MINUTES, rate: float | None = None, queue: str = "postgres"
) -> Report:
    """rate: activities a second of all apps together, instead of 80 % of a peak that is measured first. queue: what acknowledges."""
    if not 0.5 <= minutes <= 24 * 60 or not (rate is None or rate > 0):
        raise InvalidInput("--minutes goes from 0.5 to 1440, and --rate is above 0.")
    async with AsyncExitStack() as ends:
        made = await ends.enter_async_context(
            ground(settings, folder, tenants=2, rows=ROWS_BEFORE, actors=10_000, groups=400, days=1)
        )
        redis = await ends.enter_async_context(redis_server(folder)) if queue == "redis" else None
        async with _serving(made, redis) as (url, server_pid):
            peak = None if rate else await _peak(made, redis, _apps(made, url, "peak"))
            asked = rate or SHARE * (peak or 0.0)
            say(f"{asked:,.0f} activities a second, of {APPS} apps")
            soak = Soak(made, redis, server_pid, _apps(made, url, "app"), asked / APPS)
            seconds = minutes * 60
            await soak.run(seconds)
            ended_at = monotonic()
            await _settle(made, redis, soak.apps, url)
            settled_s = monotonic() - ended_at
        say("counting and verifying")
        ended = await _became(made, soak.apps)
        spool_bytes = sum(path.stat().st_size for path in _spool(made).rglob("*") if path.is_file())
        async with await Database.open(made.url, made.settings) as db:
            verified = await verify(db)
    chosen = {
        "minutes": minutes, "queue": queue, "apps": APPS, "server_processes": WORKERS, "kill_every_s": KILL_S, "rate_asked_rows_s": round(asked),
        "killed": soak.killed,
    }  # fmt: skip
    report = Report(scenario="soak", settings=chosen)
    report.figures = [
        *([] if peak is None else [Figure(name="peak_rows_s", value=peak, unit="rows/s")]),
        Figure(name="logged_rows_s", value=ended.called / seconds, unit="rows/s", at_least=0.9 * asked),
        *figures(ended, verified, spool_bytes, settled_s, sum(soak.killed.values())),
        Figure(name="postgres_back_s", value=soak.postgres_back_s, unit="s"),
        *memory_figures(soak.memory, seconds, len(soak.kills)),
    ]
    for difference in verified.items[:3]:
        say(f"differs: {difference}")
    return report


def figures(ended: Became, verified: Verification, spool_bytes: int, settled_s: float, kills: int) -> list[Figure]:
    attempted = ended.called + ended.failed
    return [
        Figure(name="kills", value=kills, unit="processes"),
        Figure(name="calls_succeeded", value=100 * (1 - ended.failed / max(1, attempted)), unit="%", at_least=100),
        Figure(name="longest_log_ms", value=ended.longest_s * 1000, unit="ms", at_most=STALL_MS),
        Figure(name="log_calls_over_10_ms", value=ended.slow, unit="calls"),
        Figure(name="accepted", value=ended.called, unit="activities"),
        Figure(name="loaded", value=ended.loaded, unit="activities"),
        Figure(name="lost", value=ended.lost, unit="activities", at_most=0),
        Figure(name="duplicated", value=ended.duplicated, unit="activities", at_most=0),
        Figure(name="in_memory_of_killed_apps", value=ended.with_app, unit="activities"),
        Figure(name="settled_s", value=settled_s, unit="s"),
        Figure(name="spool_bytes_at_end", value=spool_bytes, unit="bytes", at_most=0),
        Figure(name="verify_checked", value=verified.checked, unit="comparisons", at_least=1),
        Figure(name="verify_differences", value=verified.differences, unit="rows", at_most=0),
    ]


def memory_figures(memory: Memory, seconds: float, kills: int) -> list[Figure]:
    """Of each part that ran: after the first minute, at the end, and what it grew by. kills: in a round."""
    round_s = min(KILL_S * kills, seconds / 3)
    warm_s = min(WARM_S, seconds / 4)
    made = []
    for part in sorted(memory.samples):
        first = memory.height(part, warm_s, warm_s + round_s) / MIB
        last = memory.height(part, seconds - round_s, seconds) / MIB
        made += [
            Figure(name=f"memory_{part}_1_minute", value=first, unit="MiB"),
            Figure(name=f"memory_{part}_end", value=last, unit="MiB"),
            Figure(name=f"memory_{part}_growth", value=last - first, unit="MiB", at_most=GROWTH_SHARE * first + GROWTH_MIB),
        ]
    return made


class Soak:
    """Apps that log at `per_second` each, until `run` has had its time. killed: how often each kind of process was.
    postgres_back_s: the longest that it took connections again after.
    """

    def __init__(self, made: Ground, redis: BenchRedis | None, server_pid: int, apps: Sequence[App], per_second: float) -> None:
        self.made = made
        self.redis = redis
        self.kills = KILLS if redis is None else KILLS | {"redis": Soak.kill_redis}
        self.server_pid = server_pid
        self.apps = apps
        self.per_second = per_second
        self.memory = Memory()
        self.killed = dict.fromkeys(self.kills, 0)
        self.postgres_back_s = 0.0
        self._victims = itertools.cycle(apps[:-1])

    async def run(self, seconds: float) -> None:
        """The apps go on logging when it returns."""
        began = monotonic()
        await asyncio.gather(*(app.start(self.per_second) for app in self.apps))
        watching = asyncio.create_task(self._watch(began))
        try:
            number = 1
            for name, kill in itertools.cycle(self.kills.items()):
                if number * KILL_S >= seconds:
                    break
                await asyncio.sleep(began + number * KILL_S - monotonic())
                say(f"{monotonic() - began:.0f} s: SIGKILL to {name}")
                await kill(self)
                self.killed[name] += 1
                number = int((monotonic() - began) / KILL_S) + 1  # one that took long costs those that were due meanwhile
            await asyncio.sleep(max(0.0, began + seconds - monotonic()))
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def kill_server(self) -> None:
        """A server process that holds no lane, where there is one."""
        workers, holders = _workers(self.server_pid), await self._holders()
        os.kill(next((pid for pid in workers if pid not in holders), workers[0]), signal.SIGKILL)

    async def kill_holder(self) -> None:
        """The one that holds the most lanes."""
        workers, holders = _workers(self.server_pid), await self._holders()
        os.kill(next((pid for pid in holders if pid in workers), workers[0]), signal.SIGKILL)

    async def kill_postgres(self) -> None:
        began = monotonic()
        os.kill(self.made.server.pid, signal.SIGKILL)
        await asyncio.to_thread(self.made.server.revive)
        self.postgres_back_s = max(self.postgres_back_s, monotonic() - began)

    async def kill_redis(self) -> None:
        assert self.redis is not None
        await self.redis.kill()
        await self.redis.start()

    async def kill_app(self) -> None:
        app = next(self._victims)
        await app.kill()
        await app.start(self.per_second)

    async def _holders(self) -> list[int]:
        """Process ids of those that hold lanes, the one with the most first. Empty while nobody does."""
        async with await Database.connect_owner(self.made.url) as owner:
            held = [lane.holder for lane in await backlog(owner) if lane.held and lane.holder]
        pids = [int(holder.rpartition(":")[2]) for holder in held]
        return sorted(set(pids), key=pids.count, reverse=True)

    async def _watch(self, began: float) -> None:
        while True:
            parts: dict[str, list[int]] = {app.name: [app.pid] for app in self.apps if app.pid is not None}
            parts["server_parent"] = [self.server_pid]
            parts["servers"] = _workers(self.server_pid)
            parts["postgres"] = [self.made.server.pid, *children_of(self.made.server.pid)]
            if self.redis is not None and self.redis.runs:
                parts["redis"] = [self.redis.pid]
            self.memory.note(monotonic() - began, parts)
            await asyncio.sleep(SAMPLE_S)


KILLS: dict[str, Callable[[Soak], Awaitable[None]]] = {
    "server": Soak.kill_server,
    "lane_holder": Soak.kill_holder,
    "postgres": Soak.kill_postgres,
    "app": Soak.kill_app,
}


def _apps(made: Ground, url: str, name: str) -> list[App]:
    """On both tenants, in turn. All share one folder to spill to."""
    folder = made.settings.data_dir / name
    folder.mkdir()
    return [App(f"{name}_{number}", folder, url, made.keys[number % 2]) for number in range(APPS)]


def _workers(server_pid: int) -> list[int]:
    return sorted(pid for pid, command in children_of(server_pid).items() if "spawn_main" in command)


@asynccontextmanager
async def _serving(made: Ground, redis: BenchRedis | None) -> AsyncIterator[tuple[str, int]]:
    """`milepost serve` with two processes. → its address, and the id of the process that starts them."""
    folder = made.settings.data_dir / "serve"
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "milepost", "serve", "--port", "0", "--workers", str(WORKERS)),
            *("--database-url", made.url, "--data-dir", str(folder), "--log-level", "error"),
            *(() if redis is None else ("--redis-url", redis.url)),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        assert process.stdout is not None
        try:
            said = (await process.stdout.readline()).decode().split()
            if said[:1] != ["serving"]:
                raise MilepostError("The server did not start:\n" + (folder / "log").read_text()[-2000:])
            yield said[1], process.pid
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await process.wait()


async def _peak(made: Ground, redis: BenchRedis | None, apps: Sequence[App]) -> float:
    """Rows a second of the same apps, from their first call until the last row is loaded."""
    began = monotonic()
    await asyncio.gather(*(app.start(0) for app in apps))
    await asyncio.sleep(PEAK_S)
    await asyncio.gather(*(app.stop() for app in apps))
    await _until_loaded(made, redis)
    return sum(one.told().called for app in apps for one in app.incarnations) / (monotonic() - began)


async def _settle(made: Ground, redis: BenchRedis | None, apps: Sequence[App], url: str) -> None:
    """The apps end; what they and those that were killed left on disk is sent, and all of it is loaded."""
    await asyncio.gather(*(app.stop() for app in apps))
    with ExitStack() as clients:
        for key in made.keys:
            clients.enter_context(Milepost(url, key, spool_dir=_spool(made)))

        async def is_sent() -> bool:
            return not any(_spool(made).rglob("*.db"))

        await _until(is_sent)
    await _until_loaded(made, redis)


def _spool(made: Ground) -> Path:
    return made.settings.data_dir / "app" / SPOOL


async def _until_loaded(made: Ground, redis: BenchRedis | None) -> None:
    async with await Database.connect_owner(made.url) as owner:

        async def is_loaded() -> bool:
            if redis is not None and await redis.waiting():  # asked first: from there it goes into the queue
                return False
            return not any(lane.batches for lane in await backlog(owner))

        await _until(is_loaded)


async def _until(seen: Callable[[], Awaitable[bool]]) -> None:
    """Or until the time is up: what is missing will show."""
    until = monotonic() + SETTLE_S
    while monotonic() < until:
        if await seen():
            return
        await asyncio.sleep(LOOK_S)


async def _became(made: Ground, apps: Sequence[App]) -> Became:
    async with await Database.connect_owner(made.url) as owner:
        rows = await (await owner.execute(_queries.counted, {"tenants": made.tenants})).fetchall()
    counted = {source: (times, different) for source, times, different in rows}
    return became([one for app in apps for one in app.incarnations], counted)
