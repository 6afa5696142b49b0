"""Proofs on samples: an interval as wide as the sample leaves it, or no promise."""

from __future__ import annotations

import pytest

from milepost.doctor import Target
from milepost.doctor.advisor import Index, Statement
from milepost.doctor.advisor.advice import Advice, Make
from milepost.doctor.advisor.findings import findings_of
from milepost.doctor.advisor.planning import Size
from milepost.doctor.advisor.proof import Bench, Proof
from milepost.doctor.advisor.prove import prove_on_scratch
from milepost.doctor.advisor.sample import Sampled, borne_out
from milepost.doctor.promises import promises_of

# One row in a hundred is looked up, lies with the others, and is dear to look at; and the same scattered.
ALARMS = """
CREATE TABLE alarm (alarm_id integer NOT NULL, kind text NOT NULL, place integer NOT NULL, body text NOT NULL);
INSERT INTO alarm SELECT n, CASE WHEN n BETWEEN 15000 AND 15200 THEN 'fire' ELSE 'other' || n % 500 END, n % 60, repeat('x', 300) FROM generate_series(1, 20000) n;
VACUUM ANALYZE alarm
"""
TOGETHER = Statement(name="together", sql="SELECT count(*) FROM alarm WHERE kind = 'fire' AND sha512(repeat(body, 150)::bytea) IS NOT NULL")  # fmt: skip
SCATTERED = Statement(name="scattered", sql="SELECT count(*) FROM alarm WHERE place = 7 AND sha512(repeat(body, 150)::bytea) IS NOT NULL")  # fmt: skip
INDEXES = (Index(table="public.alarm", keys=("kind",)), Index(table="public.alarm", keys=("place",)))


def advice_for(*statements: Statement) -> Advice:
    size = Size(pages=20, rows=20_000)
    make = tuple(
        Make(index=index, size=size, leaves=0, helps={one.name: (100.0, 1.0)}, saves=1.0)
        for index, one in zip(INDEXES, statements, strict=True)
    )
    return Advice(make=make, before=2.0, statements={one.name: (100.0, 1.0) for one in statements}, tables=frozenset({"public.alarm"}))  # fmt: skip


async def test_a_sample_that_is_too_small_promises_nothing(database_url: str) -> None:
    """Of what lies in few pages the sample has nothing: it looks many times as good as it is. Whole, and of what is scattered, it is told."""
    target = await Target.open(database_url)
    async with target.writing() as connection:
        for statement in ALARMS.split(";"):
            await connection.execute(statement.encode())
        whole, _ = await Bench.build(connection, {"by_kind": INDEXES[0]})
        truth = await whole.compare(TOGETHER, (), ("by_kind",), seconds=0.1)
        await whole.drop()
    advice = advice_for(TOGETHER, SCATTERED)
    proven = await prove_on_scratch(target, advice, (TOGETHER, SCATTERED), rows_max=600, seconds=0.1)
    together, scattered = proven.proofs["together"], proven.proofs["scattered"]
    assert together.ratio < truth.ratio / 2, "the number that was promised"
    assert together.doubt is not None and "none of those that it looks up" in together.doubt
    finding = findings_of(advice, proven)[0]
    assert "No measured promise for together" in finding.detail
    (promise,) = promises_of("f", finding.evidence, {"operation": "create_index", "table": "alarm"}, {"together": "…"})
    assert (promise.source, promise.promised) == ("proof", None)
    # Ten or so rows in the sample: told, but not closely.
    assert scattered.doubt is None and scattered.high > 1.4 * scattered.ratio > scattered.ratio > 1.4 * scattered.low


def proof(**facts: float) -> Proof:
    given = {"before_ms": 10.0, "after_ms": 1.0, "rows": 100} | facts
    return Proof(
        statement="s", before_ms=given["before_ms"], after_ms=given["after_ms"], ratio=0.1, low=0.09, high=0.11, runs=10,
        used=frozenset({"i"}), wal_bytes=(0, 0), hot_share=(None, None), rows={"i": int(given["rows"])},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "sample", "low", "high", "doubt"),
    [
        ({"rows": 10_000}, {}, 0.073, 0.136, None),
        ({"rows": 100}, {}, 0.060, 0.162, None),
        ({"rows": 3}, {}, 0.0155, 0.384, None),
        ({"rows": 100}, {"together": 50.0}, 0.0091, 0.476, None),
        ({"rows": 0}, {}, 0, 0, "has none of those"),
        ({}, {"pages": 1}, 0, 0, "lies in 1 page"),
        ({"before_ms": 0.02}, {}, 0, 0, "too little to be compared"),
    ],
)
def test_how_wide(facts: dict[str, float], sample: dict[str, float], low: float, high: float, doubt: str | None) -> None:
    """By how many rows were counted; rows of a page count once."""
    given = Sampled(**{"share": 0.01, "pages": 40, "together": 1.0, **sample})  # type: ignore[arg-type]
    found = borne_out(proof(**facts), {"i": given})
    if doubt is not None:
        assert found.doubt is not None and doubt in found.doubt
    else:
        assert found.low == pytest.approx(low, rel=0.15) and found.high == pytest.approx(high, rel=0.15)


def test_a_whole_copy_is_no_sample() -> None:
    """What was measured on all rows is in doubt only as any other copy of them is."""
    found = borne_out(proof(rows=1), {})
    assert found.ratio == 0.1 and found.low == pytest.approx(0.075) and found.high == pytest.approx(0.132)
