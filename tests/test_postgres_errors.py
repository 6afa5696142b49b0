"""Translation of the driver's errors, and what is worth doing again."""

from __future__ import annotations

import asyncio

import pytest

from milepost.errors import Conflict, DatabaseError, DatabaseUnavailable, MilepostError, NotFound, Timeout
from milepost.postgres import Database, is_closed, is_transient, retrying, translate, translated


@pytest.mark.parametrize(
    ("state", "kind", "transient"),
    [
        ("23505", Conflict, False),
        ("23P01", Conflict, False),
        ("23503", DatabaseError, False),
        ("22003", DatabaseError, False),
        ("55P03", Timeout, False),
        ("57014", Timeout, False),
        ("40001", DatabaseError, True),
        ("40P01", DatabaseError, True),
        ("08006", DatabaseUnavailable, True),
        ("57P01", DatabaseUnavailable, True),
        ("57P03", DatabaseUnavailable, True),
        ("53300", DatabaseUnavailable, True),
        ("53100", DatabaseUnavailable, True),
        ("P0001", DatabaseError, False),
        ("XX000", DatabaseError, False),
    ],
)
async def test_sqlstates_become_errors(database_url: str, state: str, kind: type[MilepostError], transient: bool) -> None:
    """Each SQLSTATE has its error, with the state as a fact; only what another attempt may mend is transient."""
    async with await Database.connect_owner(database_url) as owner:
        with pytest.raises(MilepostError) as caught, translated(owner):
            await owner.execute(
                f"DO $$ BEGIN RAISE 'no luck' USING ERRCODE = '{state}', CONSTRAINT = 'c', TABLE = 't', COLUMN = 'k',"
                " DETAIL = 'd', HINT = 'h'; END $$".encode()
            )
    error = caught.value
    assert type(error) is kind
    assert str(error) == "no luck"
    assert error.facts == {
        "sqlstate": state,
        "constraint": "c",
        "table": "t",
        "column": "k",
        "detail": "d",
        "hint": "h",
    }
    assert (is_transient(error), is_closed(error)) == (transient, kind is DatabaseUnavailable)
    assert error.__cause__ is not None
    assert is_transient(error.__cause__) == transient


async def test_a_closed_connection_counts_for_more_than_the_sqlstate(database_url: str) -> None:
    """The same error is `DatabaseUnavailable` where the connection it came from is closed."""
    owner = await Database.connect_owner(database_url)
    with pytest.raises(DatabaseError) as caught, translated(owner):
        await owner.execute("SELECT 1 / 0")
    assert not is_closed(caught.value)
    await owner.close()
    cause = caught.value.__cause__
    assert cause is not None
    assert is_closed(translate(cause, owner))


def test_errors_of_others_are_not_translated() -> None:
    """What is milepost's already stays itself; what is not the driver's is our mistake."""
    mine = NotFound()
    assert translate(mine) is mine
    with pytest.raises(TypeError, match="not an error of the driver"):
        translate(ValueError("x"))
    with pytest.raises(KeyError), translated():
        raise KeyError("x")


async def test_what_is_transient_is_done_again() -> None:
    """An operation that loses its connection is repeated until it succeeds."""
    failures: list[Exception] = [DatabaseUnavailable(), DatabaseError("x", sqlstate="40001")]

    async def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert await retrying(work, base_delay_s=0) == "done"


async def test_attempts_are_bounded_and_the_last_failure_is_raised() -> None:
    """After the last attempt its error comes out, and no more is tried."""
    made = 0

    async def work() -> None:
        nonlocal made
        made += 1
        raise DatabaseUnavailable(f"attempt {made}")

    with pytest.raises(DatabaseUnavailable, match="attempt 3"):
        await retrying(work, attempts=3, base_delay_s=0)
    assert made == 3
    with pytest.raises(ValueError, match="at least 1"):
        await retrying(work, attempts=0)


@pytest.mark.parametrize("error", [Conflict(), Timeout(), DatabaseError("x", sqlstate="22003"), KeyError("x")])
async def test_mistakes_are_raised_at_once(error: Exception) -> None:
    """What another attempt cannot mend is not tried again."""
    made = 0

    async def work() -> None:
        nonlocal made
        made += 1
        raise error

    with pytest.raises(type(error)):
        await retrying(work, base_delay_s=0)
    assert made == 1


async def test_a_driver_error_that_stays_comes_out_translated(database_url: str) -> None:
    """An operation that raises the driver's own errors ends with milepost's, cause kept."""
    async with await Database.connect_owner(database_url) as owner:

        async def work() -> None:
            await owner.execute("DO $$ BEGIN RAISE 'again' USING ERRCODE = '40001'; END $$")

        with pytest.raises(DatabaseError, match="again") as caught:
            await retrying(work, attempts=2, base_delay_s=0)
    assert caught.value.sqlstate == "40001"


async def test_a_deadlock_is_resolved_by_doing_it_again(database_url: str) -> None:
    """Two transactions that lock crosswise: PostgreSQL ends one, and its retry succeeds."""
    async with await Database.connect_owner(database_url) as one, await Database.connect_owner(database_url) as other:
        both_have_one = asyncio.Barrier(2)
        met = False

        async def lock(connection: object, first: int, second: int) -> None:
            nonlocal met
            assert connection is one or connection is other
            mine = one if connection is one else other
            async with mine.transaction():
                await mine.execute("SET LOCAL deadlock_timeout = '10ms'")
                await mine.execute("SELECT pg_advisory_xact_lock(%s)", [first])
                if not met:
                    await both_have_one.wait()
                    met = True
                await mine.execute("SELECT pg_advisory_xact_lock(%s)", [second])

        await asyncio.gather(
            retrying(lambda: lock(one, 1, 2), base_delay_s=0), retrying(lambda: lock(other, 2, 1), base_delay_s=0)
        )
