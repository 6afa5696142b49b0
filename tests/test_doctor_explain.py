"""`doctor explain`: each fault of a plan is named with its cure, and its healthy twin is not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fix_cli import run_here
from fix_postgres import OLDER, bin_of, in_own_loop
from milepost.doctor import Finding, Target
from milepost.doctor.plans import explain, findings
from milepost.errors import InvalidInput, MilepostError, Timeout
from milepost.postgres import EmbeddedServer

GROUND = """
CREATE TABLE customer (id int PRIMARY KEY, email text NOT NULL, zip text NOT NULL, city text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer ON DELETE CASCADE, status text NOT NULL,
    at timestamptz NOT NULL, amount int NOT NULL, note text NOT NULL);
INSERT INTO customer SELECT i, 'Mail' || i || '@x.org', 'z' || i % 16, 'c' || i % 16 FROM generate_series(1, 40000) i;
INSERT INTO orders SELECT i, 1 + i * 7 % 20000, CASE WHEN i < 30 THEN 'open' ELSE 'done' END,
    timestamptz '2024-01-01' + i * interval '1 minute', i % 1000, md5(i::text) || md5(i::text) FROM generate_series(1, 150000) i;
ALTER TABLE orders ALTER status SET STATISTICS 1000;
CREATE INDEX orders_at ON orders (at DESC);
CREATE INDEX orders_amount ON orders (amount);
CREATE INDEX customer_email ON customer (email);
CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO kept SELECT i, 0 FROM generate_series(1, 2000) i;
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM count(*) FROM generate_series(1, 400); RETURN NEW; END $$;
CREATE FUNCTION writes() RETURNS void LANGUAGE sql AS 'INSERT INTO kept VALUES (-1, 0)';
CREATE TRIGGER slowed BEFORE UPDATE OF n ON kept FOR EACH ROW EXECUTE FUNCTION slow();
SELECT pg_stat_force_next_flush();
VACUUM ANALYZE;
CREATE TABLE never (a int, b int);
ALTER TABLE never SET (autovacuum_enabled = off);
INSERT INTO never SELECT i % 3, i FROM generate_series(1, 60000) i
"""

# check, SQL, a word of the cure; settings before it
FAULTS = [
    (
        "plan_late_filter",
        "SELECT * FROM orders WHERE status = 'open'",
        "CREATE INDEX CONCURRENTLY orders_status_idx ON public.orders",
    ),
    ("plan_late_filter", "SELECT * FROM orders WHERE note LIKE '%abcdef%'", "gin_trgm_ops"),
    ("plan_wrapped_column", "SELECT * FROM customer WHERE lower(email) = 'mail7@x.org'", "lower(email)"),
    ("plan_wrapped_column", "SELECT * FROM orders WHERE id::numeric = 7.0", "its own type, integer"),
    (
        "plan_wrong_index_for_order",
        "SELECT * FROM orders WHERE status = 'open' ORDER BY at DESC LIMIT 10",
        "public.orders (status, at)",
    ),
    ("plan_deep_offset", "SELECT * FROM orders ORDER BY id LIMIT 10 OFFSET 100000", "last row seen"),
    ("plan_spill", "SELECT * FROM orders ORDER BY note", "work_mem"),
    ("plan_sort_without_index", "SELECT * FROM orders ORDER BY note LIMIT 5", "ON public.orders (note)"),
    ("plan_misestimate", "SELECT count(*) FROM never WHERE a = 1 AND b > 0", "ANALYZE public.never"),
    ("plan_misestimate", "SELECT count(*) FROM customer WHERE length(zip) = 2", "ON (length(zip)) FROM public.customer"),
    (
        "plan_misestimate",
        "SELECT count(*) FROM customer WHERE zip = 'z5' AND city = 'c5'",
        "CREATE STATISTICS customer_city_zip_stats (dependencies, ndistinct, mcv) ON city, zip FROM public.customer",
    ),
    (
        "plan_subplan_loops",
        "SELECT id, (SELECT count(*) FROM orders o WHERE o.amount = c.id) FROM customer c",
        "Join with the subquery",
    ),
    (
        "plan_nested_loop",
        "SELECT sum(o.amount) FROM customer c JOIN orders o ON o.id = c.id WHERE c.zip = 'z5' AND c.city = 'c5'",
        "Analyze public.customer",
    ),
]
TWINS = [
    "SELECT * FROM orders WHERE id = 7",
    "SELECT * FROM customer WHERE email = 'Mail7@x.org'",
    "SELECT * FROM orders ORDER BY at DESC LIMIT 10",
    "SELECT * FROM orders WHERE id > 100000 ORDER BY id LIMIT 10",
    "SELECT count(*) FROM orders",
    "SELECT * FROM orders",
    "SELECT status, count(*) FROM orders GROUP BY status",
    "SELECT c.city, sum(o.amount) FROM orders o JOIN customer c ON c.id = o.customer_id GROUP BY c.city",
    "SELECT * FROM orders WHERE amount = 5",
]


@pytest.fixture(scope="module", params=["first found", *OLDER])
def ground(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database with faults in waiting, on each PostgreSQL that is here."""
    folder = bin_of(request.param)
    settings = {"max_parallel_workers_per_gather": "0", "work_mem": "4MB"}
    with TemporaryDirectory(prefix="milepost-explain-") as place:
        with EmbeddedServer.start(Path(place), durable=False, bin_dir=folder, settings=settings) as server:
            url = server.ensure_database("ground")

            async def fill() -> None:
                async with (await Target.open(url)).writing() as connection:
                    for statement in GROUND.split(";\n"):
                        await connection.execute(statement.encode())

            in_own_loop(fill)
            yield url


@pytest.fixture
async def target(ground: str) -> AsyncIterator[Target]:
    yield await Target.open(ground)


async def found_in(target: Target, text: str, *, analyze: bool | None = None) -> tuple[Finding, ...]:
    return await findings(target, await explain(target, text, analyze=analyze))


@pytest.mark.parametrize(("check", "text", "cure"), FAULTS, ids=[f"{check}-{n}" for n, (check, _, _) in enumerate(FAULTS)])
async def test_a_fault_is_found_with_its_cure(target: Target, check: str, text: str, cure: str) -> None:
    """By its own check, and what is told to do about it names the right thing."""
    found = {one.check: one for one in await found_in(target, text)}
    assert check in found, found
    said = " ".join([found[check].cure.text, *found[check].cure.statements])
    assert cure in said


@pytest.mark.parametrize("text", TWINS)
async def test_a_healthy_statement_has_no_findings(target: Target, text: str) -> None:
    """Quick ones, and those that take long because there is much to do."""
    assert await found_in(target, text) == ()


async def test_trigger_time_is_seen_and_undone(target: Target) -> None:
    """Of a trigger and of a foreign key that has no index; a write is only planned unless more is asked for, and rolled back."""
    text = "UPDATE kept SET n = n + 1"
    assert (await explain(target, text)).plan.execution_ms is None
    slowed = next(one for one in await found_in(target, text, analyze=True) if one.check == "plan_trigger_time")
    assert slowed.object == "kept.slowed" and slowed.evidence["calls"] == 2000 and slowed.evidence["share"] > 0.5
    cascade = await found_in(target, "DELETE FROM customer WHERE id <= 5", analyze=True)
    assert [one.object for one in cascade if one.check == "plan_trigger_time"] == ["customer.orders_customer_id_fkey"]
    async with target.reading() as connection:
        state = await (await connection.execute("SELECT max(n), (SELECT min(id) FROM customer) FROM kept")).fetchone()
    assert state == (0, 1)


async def test_a_bitmap_that_outgrew_its_memory(ground: str) -> None:
    """Its lossy pages are named, and the memory that would do."""
    target = await Target.open(
        f"{ground}&options=-c%20work_mem%3D64kB%20-c%20enable_seqscan%3Doff%20-c%20enable_indexscan%3Doff"
    )
    found = {one.check: one for one in await found_in(target, "SELECT sum(length(note)) FROM orders WHERE amount < 400")}
    assert found["plan_lossy_bitmap"].evidence["lossy_pages"] > 0
    assert found["plan_lossy_bitmap"].cure.statements == ("SET LOCAL work_mem = '1MB'",)


async def test_parameters_come_from_the_statistics(target: Target) -> None:
    """The most common value, a page's limit; what is given wins; nothing known: the generic plan, or a clear refusal."""
    explained = await explain(target, "SELECT * FROM orders o WHERE o.status = $1 AND o.id > $2 LIMIT $3", given={2: "17"})
    values = [(one.value, one.type, one.source) for one in explained.parameters]
    assert values == [("done", "text", "statistics of status"), ("17", "integer", "given"), ("100", "bigint", "assumed")]
    assert explained.plan.root.rows == 100
    if target.major >= 16:
        assert (await explain(target, "SELECT * FROM never WHERE b = $1")).generic
    else:
        with pytest.raises(InvalidInput, match="--param"):
            await explain(target, "SELECT * FROM never WHERE b = $1")
    with pytest.raises(InvalidInput, match=r"no \$4"):
        await explain(target, "SELECT * FROM orders WHERE id = $1", given={4: "1"})


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("SELECT id FROM orders WHERE at > timestamptz $1 - interval $2", ("2024-02-01", "1 day")),
        (
            "SELECT extract($1 FROM at) FROM orders WHERE at > timestamp(3) $2 AND extract($3 FROM at) = $4",
            ("hour", "2024-02-01", "hour", "3"),
        ),
        ("SELECT id FROM orders WHERE at > now() - interval $1 day", ("3",)),
        (
            "SELECT extract($1 FROM at), date_trunc($2, at) FROM orders GROUP BY extract(hour FROM at), date_trunc('day', at)",
            ("hour", "day"),
        ),
    ],
)
async def test_constants_become_parameters_in_any_place(target: Target, text: str, given: tuple[str, ...]) -> None:
    """As pg_stat_statements has them: planned for any value where none is known of their type, and run with those that are given."""
    if target.major >= 16:
        assert (await explain(target, text)).generic
    explained = await explain(target, text, given=dict(enumerate(given, start=1)))
    assert not explained.generic and [one.source for one in explained.parameters] == ["given"] * len(given)


async def test_a_constant_of_a_column_s_type_has_a_typical_value(target: Target) -> None:
    """A date is read from the text of a timestamp."""
    (value,) = (await explain(target, "SELECT id FROM orders WHERE at >= date $1")).parameters
    assert (value.type, value.source) == ("date", "statistics of at")


async def test_looking_is_bounded_and_changes_nothing(target: Target) -> None:
    """A long statement is cut off; what would write behind a function is refused by the server."""
    with pytest.raises(Timeout):
        await explain(target, "SELECT pg_sleep(20)", statement_timeout_ms=100)
    with pytest.raises(MilepostError, match="read-only"):
        await explain(target, "SELECT writes()")
    with pytest.raises(InvalidInput, match="Only reads and writes"):
        await explain(target, "DROP TABLE orders")


def test_the_command_shows_a_tree(ground: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For a person and as JSON; by text and by the id of pg_stat_statements."""
    text = "SELECT * FROM orders WHERE status = 'open'"
    assert run_here(["doctor", "explain", text, ground]) == 0
    shown = capsys.readouterr().out
    assert "1 Seq Scan on public.orders" in shown and "cure: An index on status" in shown and "rows thrown away" in shown
    assert "pages" in shown.splitlines()[0]

    async def id_of() -> int | None:
        async with (await Target.open(ground)).writing() as connection:
            if not (await (await connection.execute("SHOW shared_preload_libraries")).fetchone() or [""])[0]:
                return None
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            await connection.execute("SELECT * FROM orders WHERE status = 'open' AND amount > 3")
            query = "SELECT queryid FROM pg_stat_statements WHERE query ~ '^SELECT . FROM orders WHERE status = .1 AND amount'"
            row = await (await connection.execute(query)).fetchone()
            assert row is not None
            return int(row[0])

    number = in_own_loop(id_of)
    if number is None:
        assert run_here(["doctor", "explain", "123", ground]) != 0
        assert "pg_stat_statements" in capsys.readouterr().err
        return
    assert run_here(["doctor", "explain", "--json", "--param", "1=open", "--", str(number), ground]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["execution_ms"] > 0 and [one["source"] for one in answer["parameters"]] == ["given", "statistics of amount"]
    assert {one["check"] for one in answer["findings"]} == {"plan_late_filter"}


def test_steps_that_are_alike_share_a_line(ground: str, capsys: pytest.CaptureFixture[str]) -> None:
    scans = " UNION ALL ".join("SELECT oid FROM pg_class WHERE reltuples > 1e9" for _ in range(9))
    assert run_here(["doctor", "explain", f"{scans} UNION ALL SELECT oid FROM pg_am", ground]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("on pg_catalog.pg_class" in line for line in lines) == 3
    assert sum("on pg_catalog.pg_am" in line for line in lines) == 1
    (rest,) = [line for line in lines if "more like these" in line]
    assert "6 more like these: " in rest and ", 0 rows, " in rest
    assert run_here(["doctor", "explain", scans.split(" UNION ALL ")[0], ground]) == 0
    assert "more like these" not in capsys.readouterr().out
