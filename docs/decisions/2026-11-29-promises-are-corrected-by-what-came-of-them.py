"""What it is worth to correct the planner's promises by what came of earlier ones, on the advisor's two workloads.

python docs/decisions/2026-11-29-promises-are-corrected-by-what-came-of-them.py

Indexes are advised and built; each statement that they shall help is run with and without them in turn. Its promise is the ratio of the planner's
costs, what came of it the ratio of times. In random orders, each is predicted from those before it alone.
"""

import asyncio
import random
from datetime import UTC, datetime
from importlib.resources import files
from math import exp, log
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

from milepost.doctor import Target
from milepost.doctor.advisor import advise, read_statements
from milepost.doctor.advisor.proof import Bench, Proof
from milepost.doctor.promises import Kept, corrections
from milepost.postgres import EmbeddedServer

ORDERS = 100
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def pairs_of(server: EmbeddedServer, name: str) -> list[Kept]:
    place = files("milepost.bench") / "workloads"
    target = await Target.open(server.ensure_database(name))
    workload = read_statements(Path(str(place / f"{name}.sql")))
    async with target.writing() as connection:
        await connection.execute((place / f"{name}_data.sql").read_bytes())
        await connection.execute(b"VACUUM ANALYZE")
    advice = await advise(target, server, workload, budget=24 << 20)
    indexes = {f"ours_{n}": make.index for n, make in enumerate(advice.make)}
    found = []
    async with target.writing() as connection:
        bench, _ = await Bench.build(connection, indexes)
        for one in workload:
            before, after = advice.statements.get(one.name, (1.0, 1.0))
            if after < before * 0.99:
                proof = await bench.compare(one, (), indexes, seconds=0.4)
                if proof.used:
                    found.append(came(one.name, after / before, proof))
                    print(
                        f"  {name:5} {one.name:24} promised {after / before:8.4f}  measured {proof.ratio:8.4f}  {proof.before_ms:9.3f} ms before",
                        flush=True,
                    )
        await bench.drop()
    return found


def came(name: str, promised: float, proof: Proof) -> Kept:
    return Kept(
        finding="", kind="create_index", name=name, source="planner", promised=promised, expected=promised, measured=proof.ratio,
        before=proof.before_ms, after=proof.after_ms, control=None, at=NOW,
    )  # fmt: skip


def plain(one: Kept, earlier: list[Kept]) -> float:
    return one.promised


def shift(one: Kept, earlier: list[Kept]) -> float:
    """The mean logarithm of what was off, as if four promises had been kept to the letter before."""
    return one.promised * exp(sum(log(known.measured / known.promised) for known in earlier) / (len(earlier) + 4))


def slope(one: Kept, earlier: list[Kept]) -> float:
    """A factor on the logarithm, by least squares through 0, held back likewise: the more is promised, the more is off."""
    over = 16.0 + sum(log(known.promised) * log(known.measured) for known in earlier)
    return exp(log(one.promised) * over / (16.0 + sum(log(known.promised) ** 2 for known in earlier)))


def floor(one: Kept, earlier: list[Kept]) -> float:
    """What milepost does."""
    learned = corrections(earlier).get((one.kind, one.source))
    return one.promised if learned is None else learned.expected(one.promised, one.before)


def judged(name: str, ones: list[Kept], known: list[Kept]) -> None:
    """known: of another workload, before all of these."""
    for predict in (plain, shift, slope, floor):
        rng, errors, late = random.Random(7), [], []
        for _ in range(ORDERS):
            order = rng.sample(ones, len(ones))
            for place, one in enumerate(order):
                errors.append(abs(log(predict(one, [*known, *order[:place]]) / one.measured)))
                late += errors[-1:] if place >= len(order) // 2 else []
        said = [f"{exp(median(some)):.2f} (median) {exp(mean(some)):.2f} (mean)" for some in (errors, late)]
        print(f"{name:22} {predict.__name__:6} off by a factor of {said[0]}; in the second half {said[1]}")


async def main(server: EmbeddedServer) -> None:
    tpch, job = await pairs_of(server, "tpch"), await pairs_of(server, "job")
    judged("TPC-H-like", tpch, [])
    judged("JOB-like", job, [])
    judged("JOB-like, after TPC-H", job, tpch)
    judged("TPC-H-like, after JOB", tpch, job)


with TemporaryDirectory(prefix="milepost-") as folder:
    quiet = {"autovacuum": "off", "max_locks_per_transaction": "256", "default_statistics_target": "1000"}
    with EmbeddedServer.start(Path(folder), settings=quiet) as server:
        asyncio.run(main(server))
