"""`milepost doctor indexes --apply`: advice built on the database by a rollout, judged there, kept or taken back."""

from __future__ import annotations

import pytest

from busy_shop import WAITS
from effort import LONG
from milepost.doctor import Target
from milepost.doctor.advisor.apply import apply, settle
from milepost.doctor.promises import kept
from milepost.doctor.rollout import Change, Rollout, standing
from milepost.errors import Conflict, DatabaseUnavailable
from run_rollout import killed_at, missing

pytest_plugins = ["fix_advisor"]

ORDERS = "public.orders"
LOOKUP = "SELECT total FROM orders WHERE customer_id = 77"
CONTROL = "SELECT count(*) FROM customer WHERE country = 'de'"
JUDGED = 9  # the last step: it is known whether it helps, and nothing has been done about it
BOTH = {"lookup": LOOKUP, "control": CONTROL}
EVENTS = """
CREATE TABLE event (n integer NOT NULL, kind text NOT NULL) PARTITION BY RANGE (n);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (20000);
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (20000) TO (40000);
INSERT INTO event SELECT n, 'kind' || n % 5000 FROM generate_series(0, 39999) n;
VACUUM ANALYZE event
"""
GIVEN = {"table": "public.event", "keys": ["kind"], "helps": "of_kind", "workload": {"of_kind": "SELECT n FROM event WHERE kind = 'kind7'", "control": CONTROL}}  # fmt: skip
INDEXES = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid::regclass::text ~ '^{}' ORDER BY 1"


async def indexes_of(target: Target, table: str) -> dict[str, bool]:
    async with target.reading() as connection:
        return dict(await (await connection.execute(INDEXES.format(table).encode())).fetchall())


async def test_what_helps_is_kept_on_the_database(store: Target) -> None:
    """Built concurrently, measured there against a control, and kept; what helps nobody is taken back, and the reason said."""
    good = await apply(store, missing(ORDERS, "customer_id", helps="lookup"), BOTH)
    assert good.kept and good.ratios["lookup"] < 0.5 and good.why is None
    useless = await apply(store, missing(ORDERS, "note", helps="control"), BOTH)
    assert not useless.kept and "none of its statements" in str(useless.why)
    failed = await apply(store, missing(ORDERS, "no_such_column", helps="control"), BOTH)
    assert not failed.kept and "no_such_column" in str(failed.why)
    assert (await indexes_of(store, "orders")).keys() == {"orders_pkey", "orders_customer_id_idx"}
    async with store.reading() as connection:
        last = await standing(connection)
    assert last is not None and last.state == "rolled_back" and "no_such_column" in str(last.error)
    assert {one.name for one in await kept(store)} == {"lookup", "public.orders_customer_id_idx"}, (
        "what was taken back teaches nothing"
    )


async def lost(*_: object) -> None:
    raise DatabaseUnavailable("The connection was lost.")


async def test_what_was_dropped_since_is_built_again(store: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice that was applied before, or was only planned, is no reason to do nothing; beside another rollout it is refused."""
    finding = missing(ORDERS, "customer_id", helps="lookup")
    monkeypatch.setattr("milepost.doctor.promises.begin", lost)
    with pytest.raises(DatabaseUnavailable):
        await apply(store, finding, BOTH)
    monkeypatch.undo()
    assert await settle(store) is None
    assert (await apply(store, finding, BOTH)).kept
    async with store.writing() as connection:
        await connection.execute("DROP INDEX orders_customer_id_idx")
    assert (await apply(store, finding, BOTH)).kept and len(await indexes_of(store, "orders")) == 2
    async with Rollout.open(store) as rollout:
        await rollout.run(
            Change.of("theirs", [{"operation": "create_index", "table": "orders", "columns": ["note"]}]), hold=True
        )
    assert await settle(store) is None
    with pytest.raises(Conflict, match="theirs is under way"):
        await apply(store, missing(ORDERS, "total", helps="lookup"), BOTH)


async def test_a_partitioned_table_killed_in_the_middle(store: Target) -> None:
    """Part by part; killed while parts are built, and while it is judged, the next run goes on, and judges by what was measured first."""
    async with store.writing() as connection:
        for statement in EVENTS.split(";"):
            await connection.execute(statement.encode())
    async with store.writing() as connection:
        for number in range(1, JUDGED + 1) if LONG else (4, JUDGED):
            assert await killed_at(store.url, GIVEN, number, by="advise")
            left = await settle(store, waits=WAITS)
            assert left is not None and left.kept and left.index == "public.event (kind)", left
            assert left.ratios["of_kind"] < 0.5
            assert await indexes_of(store, "event") == {
                "event_1_event_kind_idx": True, "event_2_event_kind_idx": True, "event_kind_idx": True,
            }  # fmt: skip
            assert await settle(store) is None
            await connection.execute("DROP INDEX event_kind_idx")
    assert not LONG or not await killed_at(store.url, GIVEN, JUDGED + 1, by="advise")
