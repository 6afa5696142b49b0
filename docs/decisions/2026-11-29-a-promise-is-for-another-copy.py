"""How far the same ratio of times lies apart on copies of the same rows, each measured with its interval, on the advisor's two workloads.

python docs/decisions/2026-11-29-a-promise-is-for-another-copy.py

The advised indexes are built on several databases with the same rows, all of one server; each statement that they shall help is run with and
without them in turn, on each. Two of them are a proof and what came of it: is the median of the one in the interval of the other, and if the
interval is made wider by a factor?
"""

import asyncio
from importlib.resources import files
from itertools import permutations
from math import exp, log
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from milepost.doctor import Target
from milepost.doctor.advisor import Advice, advise, read_statements
from milepost.doctor.advisor.proof import Bench, Proof
from milepost.postgres import EmbeddedServer

COPIES = 4
FACTORS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5)


async def proofs_of(server: EmbeddedServer, name: str) -> list[dict[str, Proof]]:
    """Of each copy, by statement."""
    place = files("milepost.bench") / "workloads"
    workload = read_statements(Path(str(place / f"{name}.sql")))
    found: list[dict[str, Proof]] = []
    advice: Advice | None = None
    for copy in range(COPIES):
        target = await Target.open(server.ensure_database(f"{name}_{copy}"))
        async with target.writing() as connection:
            await connection.execute((place / f"{name}_data.sql").read_bytes())
            await connection.execute(b"VACUUM ANALYZE")
        advice = advice or await advise(target, server, workload, budget=24 << 20)
        indexes = {f"ours_{n}": make.index for n, make in enumerate(advice.make)}
        helped = [
            one
            for one in workload
            if advice.statements.get(one.name, (1.0, 1.0))[1] < advice.statements.get(one.name, (1.0, 1.0))[0] * 0.99
        ]
        async with target.writing() as connection:
            bench, _ = await Bench.build(connection, indexes)
            proofs = [await bench.compare(one, (), indexes, seconds=0.5) for one in helped]
            found.append({proof.statement: proof for proof in proofs if proof.used})
            await bench.drop()
    return found


async def main(server: EmbeddedServer) -> None:
    pairs: list[tuple[Proof, Proof]] = []
    for name in ("tpch", "job"):
        copies = await proofs_of(server, name)
        for statement in copies[0]:
            ratios = " ".join(
                f"{one[statement].ratio:.4f} ({one[statement].low:.4f}-{one[statement].high:.4f})" for one in copies
            )
            print(f"  {name:5} {statement:26} {copies[0][statement].before_ms:9.3f} ms  {ratios}", flush=True)
        pairs += [(one[s], two[s]) for one, two in permutations(copies, 2) for s in one if s in two]
    apart = sorted(abs(log(one.ratio / two.ratio)) for one, two in pairs)
    print(
        f"{len(pairs)} pairs; medians apart by a factor of {exp(median(apart)):.3f} (median), {exp(apart[len(apart) * 95 // 100]):.3f} (95 %)"
    )
    for factor in FACTORS:
        within = sum(one.low / factor <= two.ratio <= one.high * factor for one, two in pairs)
        print(f"  interval wider by {factor:4.2f}: {within / len(pairs):.1%} of the other medians in it")


with TemporaryDirectory(prefix="milepost-") as folder:
    quiet = {"autovacuum": "off", "max_locks_per_transaction": "256", "default_statistics_target": "1000"}
    with EmbeddedServer.start(Path(folder), settings=quiet) as server:
        asyncio.run(main(server))
