"""The daily sample of what is promised: numbers equal a recomputation, files of the archive are as they were written, and what a chain has is
what is there.

Of some tenants, drawn by chance, the days of a few spans of each table are recomputed, and the newest links of their chains; and a few files are
fetched and compared. So it costs the same however long the history is, and what is wrong for long is found. All at once, and all of it:
`milepost verify`, `milepost chain verify` and `milepost archive check`.
"""

from __future__ import annotations

import random
from typing import Any

import structlog

from milepost.errors import NotFound
from milepost.jobs.job import Work
from milepost.postgres import load_queries, translated
from milepost.rollups.verify import verify
from milepost.storage.chain_verify import verify_chain
from milepost.storage.check import check

__all__ = ["verify_samples"]

TENANTS, SPANS, FILES = 3, 2, 3
ITEMS_MAX = 20  # that are kept in the history

log = structlog.get_logger(__name__)
_queries = load_queries(__package__, "samples.sql")


async def verify_samples(work: Work) -> dict[str, Any]:
    with translated(work.owner):
        names = [name for (name,) in await (await work.owner.execute(_queries.tenants)).fetchall()]
    drawn = sorted(random.sample(names, min(TENANTS, len(names))))
    checked = differences = 0
    items: list[dict[str, Any]] = []
    chain: list[dict[str, Any]] = []
    try:
        for name in drawn:
            outcome = await verify(work.db, tenant=name, spans_max=SPANS)
            checked, differences = checked + outcome.checked, differences + outcome.differences
            items += outcome.items[: ITEMS_MAX - len(items)]
            chain += await _chain(work, name)
        files = await check(work.db, files_max=FILES)
    except NotFound:  # no model was applied, so nothing is derived
        return {"tenants": [], "checked": 0, "differences": 0, "files": 0, "damaged": [], "chain": []}
    if differences or files.damaged or chain:
        log.error("a sample differs", differences=differences, items=items, damaged=files.damaged, chain=chain)
    return {
        "tenants": drawn,
        "checked": checked,
        "differences": differences,
        "items": items,
        "files": files.files,
        "damaged": files.damaged,
        "chain": chain[:ITEMS_MAX],
    }


async def _chain(work: Work, tenant: str) -> list[dict[str, Any]]:
    """What the newest links of a tenant's chain do not agree with; nothing where it has none."""
    try:
        found = await verify_chain(work.db, tenant, newest=True)
    except NotFound:
        return []
    return [{"tenant": tenant, **item} for item in found.items]
