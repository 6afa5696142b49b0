"""What may be promised by what was measured on a copy: a wider interval, or nothing where a sample is too small for the claim.

The same rows in another database take times whose ratio lies elsewhere, by more than runs on one copy differ: an interval is so much
wider. Why and by how much: docs/decisions/2026-11-29-a-promise-is-for-another-copy.md.

A copy with rows may hold a hundredth of a table. What a statement looks up is then not among it, or with so few rows that chance decides how
many; a whole table may fit into a page; and what takes a hundredth of a millisecond there takes no time that could be compared. A proof
says so: its interval is as wide as the number of rows that were counted leaves it (a Poisson interval by 95 %), or nothing is promised.

Pages are drawn, not rows: where rows of one key lie together, a page of them counts as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

from milepost.doctor.advisor.index import Index, plain_key
from milepost.doctor.advisor.proof import Proof
from milepost.doctor.scratch import Copied
from milepost.postgres import Connection, load_queries

__all__ = ["Sampled", "borne_out", "sampled"]

queries = load_queries(__package__, "sample.sql")

WHOLE_SHARE: Final = 0.95  # of a table; above, what is missing changes no time
ELSEWHERE: Final = 1.2  # what 95 % of other copies of the same rows lie within
CLOCK_MS: Final = 0.05  # below, starting and ending a statement is most of its time
PAGES_MIN: Final = 2
Z: Final = 1.96


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """The table of an index, on the copy. share: of its rows. together: how many rows of one key lie in one page, or of neighbouring keys
    where they lie in order.
    """

    share: float
    pages: int
    together: float


async def sampled(connection: Connection, indexes: Mapping[str, Index], copied: Mapping[str, Copied]) -> dict[str, Sampled]:
    """By the index's name. copied: by table; what is not in it is whole."""
    found = {}
    for name, index in indexes.items():
        share = copied[index.table].share if index.table in copied else 1.0
        if share >= WHOLE_SHARE:
            continue
        key = plain_key(index.keys[0]) if index.method == "btree" else "NULL::int"
        parts = {"key": key, "table": index.table, "condition": index.where or "true"}
        row = await (
            await connection.execute(queries.together.format(**parts).encode(), {"table": index.table, "column": key})
        ).fetchone()
        assert row is not None
        found[name] = Sampled(share=share, pages=row[0], together=max(1.0, row[1]))
    return found


def borne_out(proof: Proof, indexes: Mapping[str, Sampled]) -> Proof:
    """The same proof with an interval for the database itself, or with the reason why nothing is promised."""
    low, high = 1.0, 1.0
    for name in sorted(proof.used & indexes.keys()):
        one, rows = indexes[name], proof.rows.get(name, 0)
        if one.pages <= PAGES_MIN:
            return replace(proof, doubt=f"the sample of its table lies in {one.pages} page{'s' if one.pages > 1 else ''}")
        if rows == 0:
            return replace(proof, doubt=f"the sample, {one.share:.2%} of the rows, has none of those that it looks up")
        counted = max(1.0, rows / one.together)
        low, high = min(low, _lowest(counted) / counted), max(high, _highest(counted) / counted)
    if proof.before_ms < CLOCK_MS:
        return replace(proof, doubt=f"it takes {proof.before_ms:.3f} ms on the copy, too little to be compared")
    return replace(proof, low=proof.low * low / ELSEWHERE, high=proof.high * high * ELSEWHERE)


def _lowest(count: float) -> float:
    """Of a Poisson mean, by what was counted (Byar's approximation)."""
    return max(0.0, float(count * (1 - 1 / (9 * count) - Z / (3 * sqrt(count))) ** 3))


def _highest(count: float) -> float:
    more = count + 1
    return float(more * (1 - 1 / (9 * more) + Z / (3 * sqrt(more))) ** 3)
