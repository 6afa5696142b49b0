"""The archive under random histories: what is archived, restored and changed in between is exactly what the plain model says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import test_property_history
from histories import BUSY, Player, steps, times
from milepost.activity import id_from
from milepost.postgres import EmbeddedServer
from milepost.storage import _export, _removal, cold
from milepost.storage.archive import run_once
from milepost.storage.due import Due
from milepost.storage.restore import restore_part
from test_property_history import Ground

EXAMPLES = int(os.environ.get("MILEPOST_TEST_EXAMPLES", "3"))
FAR = datetime(2027, 1, 1, tzinfo=UTC)
# What stays although it is old enough: nothing, or what an odd id has, or a verb.
STAYING = ("false", "right(s.id::text, 1) IN ('1', '3', '5', '7', '9')", "s.verb = 'ride'")

archiving = st.one_of(
    st.tuples(st.just("archive"), times, st.integers(0, 2)),
    st.tuples(st.just("archive"), st.just(FAR), st.integers(0, 2)),
    st.tuples(st.just("restore"), st.integers(0, 5)),
)
histories = st.lists(st.one_of(steps, steps, steps, archiving), min_size=4, max_size=25)


class ArchivingPlayer(Player):
    """Plays archiving and restoring, too, which the truth knows nothing of."""

    async def archive(self, before: datetime, staying: int) -> None:
        await self.load()
        await self.index()  # what no index has yet is not archived
        due = Due(
            condition="s.verb <> 'milestone' AND s.tenant_id = %(only)s AND s.id < %(before)s",
            parameters={"only": self.tenant_id, "before": id_from(before)},
            border=FAR,
        )
        await run_once(self.db, due=due.unless(STAYING[staying]), settle_s=5)

    async def restore(self, number: int) -> None:
        await self.load()
        async with await self.db.owner() as owner:
            query = b"SELECT DISTINCT part FROM milepost.cold_file WHERE state = 'cold' AND tenant_id = %s ORDER BY 1"
            parts = [row[0] for row in await (await owner.execute(query, (self.tenant_id,))).fetchall()]
        if parts:
            await restore_part(self.db, self.tenant_id, parts[number % len(parts)], keep=timedelta(0))


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    """Files of few rows, pages that end early, partitions that go as a whole only where next to nothing stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_export, "FILE_ROWS_MAX", 5)
        patch.setattr(_export, "SMALL_ROWS", 1)
        patch.setattr(_export, "KEPT_MAX", 2)
        patch.setattr(_removal, "BATCH_ROWS", 3)
        patch.setattr(cold, "STEP_MAX", 4)
        patch.setattr(cold, "SCANNED_MAX", 6)
        patch.setattr(cold, "FILES_MAX", 2)
        patch.setattr(test_property_history, "Player", ArchivingPlayer)
        yield


@pytest.fixture(scope="module")
def ground(server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(server.clone_database(template, "property_archive"), tmp_path_factory.mktemp("archive")) as made:
        yield made


LONG: list[tuple[Any, ...]] = [
    *BUSY,
    ("archive", FAR, 0),
    ("correct", 20, {"distance_m": None}),
    ("retract", 5),
    ("resend", 3),
    ("archive", FAR, 1),
    ("restore", 0),
    ("correct", 30, {"actor": "ana"}),
    ("archive", FAR, 2),
]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=histories)
@example(history=LONG)
def test_archived_histories_equal_the_plain_model(ground: Ground, history: list[tuple[Any, ...]]) -> None:
    """Whenever something goes to the archive or comes back, every reader is answered as if nothing had."""
    ground.play(history)
