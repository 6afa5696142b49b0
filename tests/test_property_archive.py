"""The life of activities under random histories: what is archived, restored, removed by retention, erased and changed in between is exactly
what the plain model says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import test_property_history
from effort import examples
from histories import ACTORS, BUSY, TIMES, Player, steps, times
from milepost.activity import SMALLEST_ID, id_from
from milepost.intake import removal
from milepost.model import Model
from milepost.postgres import Connection, EmbeddedServer
from milepost.storage import _export, _removal, cold, retention
from milepost.storage.archive import run_once
from milepost.storage.due import Due
from milepost.storage.policies import Selection
from milepost.storage.restore import restore_part
from milepost.storage.retention import Rule
from test_property_history import Ground
from truth import ALWAYS

EXAMPLES = examples(1, 30)
FAR = datetime(2027, 1, 1, tzinfo=UTC)
# What stays although it is old enough: nothing, or what an odd id has, or a verb.
STAYING = ("false", "right(s.id::text, 1) IN ('1', '3', '5', '7', '9')", "s.verb = 'ride'")

archiving = st.one_of(
    st.tuples(st.just("archive"), times, st.integers(0, 2)),
    st.tuples(st.just("archive"), st.just(FAR), st.integers(0, 2)),
    st.tuples(st.just("restore"), st.integers(0, 5)),
    st.tuples(st.just("retain"), times),
    st.tuples(st.just("erase"), st.sampled_from(ACTORS)),
)
histories = st.lists(st.one_of(steps, steps, steps, archiving), min_size=4, max_size=25)


class LifecyclePlayer(Player):
    """Plays archiving and restoring, too, which the truth knows nothing of, retention and erasure."""

    over_before = FAR

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

    async def retain(self, before: datetime) -> None:
        """All but milestones is over then, in the archive and in PostgreSQL, a few activities a command."""
        await self.load()
        LifecyclePlayer.over_before = before
        for archived in (True, False):
            done: dict[str, Any] = {"next": str(SMALLEST_ID)}
            while done["next"] is not None:
                done = await self.done({"do": "retain", "rule": "default", "low": done["next"], "cold": archived})
        self.truth.retain(before)

    async def erase(self, actor: str) -> None:
        await self.load()
        async with await self.db.owner() as owner:
            query = b"SELECT encode(milepost.subject_of(%s, %s), 'hex')"
            row = await (await owner.execute(query, (self.tenant_id, actor))).fetchone()
        assert row is not None
        await self.done({"do": "erase", "subject": row[0], "until": FAR.isoformat(), "totals": "shrink"})
        self.truth.erase(actor)

    async def correct(self, which: int, changed: dict[str, Any]) -> None:
        if changed.get("actor") not in self.truth.erased:
            await super().correct(which, changed)

    async def done(self, command: dict[str, Any]) -> dict[str, Any]:
        """What a command answers."""
        batch = await self.command(command)
        await self.load()
        loaded = await self.queue.outcome(batch, 10)
        assert loaded is not None and loaded.result is not None and loaded.result["status"] == 200, loaded
        body: dict[str, Any] = loaded.result["body"]
        return body


async def over_before(conn: Connection, tenant_id: int, model: Model, now: datetime) -> list[Rule]:
    everything = Selection(condition="s.verb <> 'milestone'", parameters={})
    given: dict[str, Any] = {"by_change": False, "model_says": "1 day", "delete_after": "1 day"}
    return [Rule(name="default", selection=everything, before=LifecyclePlayer.over_before, **given)]


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
        patch.setattr(retention, "WINDOW_ROWS", 6)
        patch.setattr(removal, "rules", over_before)
        patch.setattr(test_property_history, "Player", LifecyclePlayer)
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
    ("retain", TIMES[0] + timedelta(hours=2)),
    ("leave", "b", "ana", ALWAYS),
    ("parent", 0, 1, ALWAYS),
    ("correct", 40, {"distance_m": Fraction(1)}),
    ("erase", "ben"),
    ("resend", 4),
    ("join", "a", "ben", ALWAYS),
    ("archive", FAR, 0),
    ("retain", TIMES[0] + timedelta(hours=4)),
]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(history=histories)
@example(history=LONG)
def test_archived_histories_equal_the_plain_model(ground: Ground, history: list[tuple[Any, ...]]) -> None:
    """Whenever something goes to the archive or comes back, every reader is answered as if nothing had."""
    ground.play(history)
