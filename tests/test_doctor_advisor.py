"""Index advice: planned on a copy without rows, chosen for a whole workload."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fix_postgres import in_own_loop
from milepost.doctor import Target
from milepost.doctor.advisor import Index, PlanningCopy, Statement, advise, read_statements, read_target
from milepost.doctor.advisor.findings import findings_of
from milepost.doctor.advisor.planning import Plan, Size
from milepost.doctor.advisor.proof import Bench, interval
from milepost.doctor.advisor.prove import prove
from milepost.doctor.advisor.relations import Relations
from milepost.doctor.advisor.shape_reader import read_shape
from milepost.doctor.advisor.sizes import estimated_size
from milepost.doctor.rollout import Change, Rollout
from milepost.errors import DatabaseError, InvalidInput
from milepost.postgres import EmbeddedServer

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_advisor", "fix_cli"]

ORDERS = "public.orders"
LOOKUPS = (
    Statement(name="of_customer", sql="SELECT order_id, total FROM orders WHERE customer_id = 77 ORDER BY ordered_at DESC LIMIT 5", calls=900),
    Statement(name="open", sql="SELECT count(*) FROM orders WHERE status = 'open' AND ordered_at >= '2026-02-01'", calls=50),
    Statement(name="by_email", sql="SELECT customer_id FROM customer WHERE lower(email) = $1", calls=300),
    Statement(name="country", sql="SELECT country, sum(total) FROM orders JOIN customer USING (customer_id) GROUP BY country"),
)  # fmt: skip
BUDGET = 100 << 20


async def costs_there(target: Target, statements: tuple[Statement, ...]) -> dict[str, tuple[float, str]]:
    """What the target's own planner says: cost, and kind of plan."""
    async with target.reading() as connection:
        found = {}
        for one in statements:
            row = await (await connection.execute(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {one.sql}".encode())).fetchone()
            assert row is not None
            found[one.name] = (row[0][0]["Plan"]["Total Cost"], shape_of(row[0][0]["Plan"]))
        return found


def shape_of(plan: Any) -> str:
    below = ",".join(shape_of(one) for one in plan.get("Plans", ()))
    return f"{plan['Node Type']}({below})" if below else str(plan["Node Type"])


async def test_a_copy_without_rows_plans_as_the_target_does(store: Target, server: EmbeddedServer) -> None:
    """With and without an index that is only there in the copy, plans are the same and costs within 5 %; no row is copied."""
    index = Index(table=ORDERS, keys=("customer_id", "ordered_at DESC"))
    async with PlanningCopy.open(store, server) as copy:
        for shown in ([], ["by_customer"]):
            if shown:
                async with store.writing() as connection:
                    await connection.execute(index.definition("by_customer").encode())
                    row = await (await connection.execute("SELECT pg_relation_size('by_customer')::int / 8192")).fetchone()
                assert row is not None
                assert not await copy.make({"by_customer": (index, Size(pages=row[0], rows=60_000))})
            there = await costs_there(store, LOOKUPS)
            for one in LOOKUPS:
                plan = await copy.plan(one, shown)
                assert shape_of(plan.root) == there[one.name][1], one.name
                assert plan.cost == pytest.approx(there[one.name][0], rel=0.05), one.name
        assert (await copy.plan(LOOKUPS[0], [])).cost > 100 * (await copy.plan(LOOKUPS[0], ["by_customer"])).cost
        async with copy.catalogue() as connection:
            row = await (
                await connection.execute("SELECT count(*), pg_relation_size('public.orders') FROM ONLY pg_class")
            ).fetchone()
            assert row is not None and row[1] > 1 << 20


@pytest.mark.parametrize(
    ("keys", "include", "where", "share"),
    [
        (("customer_id",), (), None, 1.0),
        (("status",), (), None, 1.0),
        (("customer_id", "ordered_at DESC"), (), None, 1.0),
        (("order_id",), ("customer_id", "total"), None, 1.0),
        (("ordered_at",), (), "status = 'open'", 0.01),
    ],
)
async def test_sizes_are_near_what_is_built(
    store: Target, server: EmbeddedServer, keys: tuple[str, ...], include: tuple[str, ...], where: str | None, share: float
) -> None:
    """The estimate of a B-tree is within a fifth (or two pages) of the built one: wide, narrow, covering, partial, deduplicated."""
    index = Index(table=ORDERS, keys=keys, include=include, where=where)
    async with PlanningCopy.open(store, server) as copy:
        relations = await Relations.read(copy)
    guessed = estimated_size(index, relations.tables[ORDERS], share).pages
    async with store.writing() as connection:
        await connection.execute(index.definition("built").encode())
        row = await (await connection.execute("SELECT pg_relation_size('built')::int / 8192")).fetchone()
    assert row is not None
    assert abs(guessed - row[0]) <= max(2, row[0] / 5)


async def test_what_a_statement_asks(store: Target, server: EmbeddedServer) -> None:
    """Lookups, joins, bounds, order, groups and reads are told apart, by table, through aliases, subqueries and CTEs."""
    async with PlanningCopy.open(store, server) as copy:
        relations = await Relations.read(copy)
    shape = read_shape(
        "WITH big AS (SELECT customer_id FROM orders WHERE total > 5) "
        "SELECT c.country, max(o.total) FROM customer c JOIN orders o ON o.customer_id = c.customer_id "
        "WHERE lower(c.email) LIKE 'a%' AND o.status IN ('open', 'late') AND o.ordered_at BETWEEN $1 AND $2 "
        "AND EXISTS (SELECT 1 FROM orders x WHERE x.order_id = c.customer_id) AND c.customer_id IN (SELECT customer_id FROM big) "
        "GROUP BY c.country ORDER BY c.country DESC",
        relations,
    )
    inner, customer, outer, exists = shape.accesses
    assert (inner.bounded, inner.read) == (["total"], {"customer_id", "total"})
    assert (customer.joined, customer.patterns) == (["customer_id"], ["(lower(email))"])
    assert (customer.grouped, customer.order) == (["country"], ["country DESC"])
    assert (outer.joined, outer.equal, outer.bounded) == (["customer_id"], ["status"], ["ordered_at"])
    assert outer.conditions == [("status IN ('open', 'late')", "status")]
    assert outer.read == {"customer_id", "status", "ordered_at", "total"}
    assert exists.joined == ["order_id"]
    update = read_shape("UPDATE orders SET note = 'x', status = 'done' WHERE order_id = 5", relations)
    assert update.written == (ORDERS, "update", frozenset({"note", "status"}))
    assert read_shape("SELECT * FROM orders WHERE note = 'x'", relations).accesses[0].read is None


async def test_advice_helps_every_kind_of_lookup(store: Target, server: EmbeddedServer) -> None:
    """An order's index by customer and time, one on an expression, one for few rows alone; each pays, and what it saves is said."""
    advice = await advise(store, server, LOOKUPS, budget=BUDGET)
    made = {str(make.index) for make in advice.make}
    assert any(one.startswith("public.orders (customer_id, ordered_at DESC)") for one in made)
    assert "public.customer ((lower(email)))" in made or any(
        one.startswith("public.customer ((lower(email))) INCLUDE") for one in made
    )
    assert any("status" in one for one in made)
    assert advice.after < advice.before / 20
    assert all(after <= before * 1.01 for before, after in advice.statements.values())
    assert not advice.skipped and not advice.missing and not advice.drop
    for finding in findings_of(advice):
        assert finding.cure.operation is not None and finding.cure.operation["operation"] == "create_index"
        async with store.writing() as connection:
            await connection.execute(finding.cure.statements[0].encode())  # it is SQL that runs
    again = await advise(store, server, LOOKUPS, budget=BUDGET)
    assert not again.missing and not again.make and not again.drop, (made, again)


async def test_the_budget_holds(store: Target, server: EmbeddedServer) -> None:
    """Fewer bytes: less saved, and never more taken than allowed."""
    much = await advise(store, server, LOOKUPS, budget=BUDGET)
    little = await advise(store, server, LOOKUPS, budget=much.bytes // 2)
    assert little.bytes <= much.bytes // 2
    assert much.after < little.after < little.before
    assert not (await advise(store, server, LOOKUPS, budget=0)).make


async def test_writes_are_weighed(store: Target, server: EmbeddedServer) -> None:
    """An index on what is updated far more often than looked up is not made: each update would write to every index."""
    looked = Statement(name="looked", sql="SELECT order_id FROM orders WHERE note = 'abc'", calls=10)
    changed = Statement(name="changed", sql="UPDATE orders SET note = $1 WHERE order_id = $2", calls=1_000_000)
    assert (await advise(store, server, (looked,), budget=BUDGET)).make
    assert not (await advise(store, server, (looked, changed), budget=BUDGET)).make


async def test_needless_indexes_are_dropped(store: Target, server: EmbeddedServer) -> None:
    """A prefix of another index, and one that nobody uses; never one that keeps a promise, nor one that was scanned."""
    async with store.writing() as connection:
        await connection.execute("CREATE INDEX wide ON orders (customer_id, ordered_at)")
        await connection.execute("CREATE INDEX prefix ON orders (customer_id)")
        await connection.execute("CREATE INDEX idle ON orders (note)")
        await connection.execute("CREATE INDEX used ON orders (total)")
        await connection.execute("SET enable_seqscan = off")
        await connection.execute("SELECT 1 FROM orders WHERE total = 3")
        await connection.execute("SELECT pg_stat_force_next_flush()")
    advice = await advise(store, server, LOOKUPS[:1], budget=0)
    findings = {one.object: one for one in findings_of(advice)}
    assert findings.keys() == {"public.prefix", "public.idle"}
    assert findings["public.prefix"].check == "index_redundant"
    assert findings["public.idle"].check == "index_unused"
    assert findings["public.idle"].cure.statements == ("DROP INDEX CONCURRENTLY IF EXISTS public.idle",)


async def test_what_is_there_is_exchanged_for_much_better(store: Target, server: EmbeddedServer) -> None:
    """Not for a few pages less (above); for one that gives a statement its order, and so some rows instead of all."""
    first = Statement(
        name="first", sql="SELECT order_id FROM orders WHERE status = 'open' ORDER BY ordered_at LIMIT 5", calls=10
    )
    whole = Statement(name="whole", sql="SELECT sum(total) FROM orders", calls=10)  # so that it is little of the workload
    async with store.writing() as connection:
        await connection.execute("CREATE INDEX poor ON orders (status)")
    advice = await advise(store, server, (first, whole), budget=BUDGET)
    assert [make.helps.keys() for make in advice.make] == [{"first"}]
    assert "ordered_at" in advice.make[0].index.keys and [one.existing.index.name for one in advice.drop] == ["poor"]


async def test_the_target_is_only_read(store: Target, server: EmbeddedServer) -> None:
    """Advice leaves nothing behind: not in the target, not in the server that planned."""
    databases = "SELECT count(*) FROM pg_database"
    relations = "SELECT count(*), sum(oid::bigint) FROM pg_class"
    async with store.reading() as connection:
        before = [await (await connection.execute(one)).fetchall() for one in (databases, relations)]
    await advise(store, server, LOOKUPS, budget=BUDGET)
    async with store.reading() as connection:
        assert before == [await (await connection.execute(one)).fetchall() for one in (databases, relations)]


async def test_a_statement_without_a_plan_is_named(store: Target, server: EmbeddedServer) -> None:
    """One that cannot be planned is left out and said, with the reason; the others have their advice."""
    gone = Statement(name="gone", sql="SELECT 1 FROM no_such_table")
    advice = await advise(store, server, (gone, *LOOKUPS), budget=BUDGET)
    assert "no_such_table" in advice.skipped["gone"] and advice.make


async def test_statements_of_pg_stat_statements_are_advised(store: Target, server: EmbeddedServer, tmp_path: Path) -> None:
    """However often one is planned, its parameters stay open; constants of a type are parameters, too."""
    file = tmp_path / "workload.sql"
    file.write_text(
        "SELECT country, sum(total) FROM orders o JOIN customer c ON c.customer_id = o.customer_id WHERE lower(c.email) = $1 GROUP BY 1;"
        "SELECT order_id FROM orders WHERE ordered_at > timestamptz $1 - interval $2 AND extract($3 FROM ordered_at) = $4;"
    )
    advice = await advise(store, server, read_statements(file), budget=BUDGET)
    assert advice.skipped == {} and advice.statements["s1"][1] < advice.statements["s1"][0] / 10
    assert {helped for one in advice.make for helped in one.helps} == {"s1", "s2"}


async def test_a_statement_that_fails_late_is_named(
    store: Target, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever one fails on while indexes are tried, the others have the advice that they would have without it."""
    plan = PlanningCopy.plan

    async def failing(copy: PlanningCopy, statement: Statement, shown: Iterable[str]) -> Plan:
        shown = list(shown)
        if statement.name == "open" and shown:
            raise DatabaseError("no plan with these")
        return await plan(copy, statement, shown)

    others = [one for one in LOOKUPS if one.name != "open"]
    without = await advise(store, server, tuple(others), budget=BUDGET)
    monkeypatch.setattr(PlanningCopy, "plan", failing)
    advice = await advise(store, server, LOOKUPS, budget=BUDGET)
    assert advice.skipped == {"open": "no plan with these"} and advice.statements == without.statements
    assert [one.index for one in advice.make] == [one.index for one in without.make]


VISITS = """
CREATE TABLE visit (visit_id bigint NOT NULL, visitor text NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE INDEX ON visit (visit_id);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-04-01');
INSERT INTO visit SELECT n, 'Visitor' || n % 4000, date '2026-01-01' + n % 90 FROM generate_series(1, 40000) n;
VACUUM ANALYZE visit
"""


async def test_partitioned_tables_are_advised(store: Target, server: EmbeddedServer) -> None:
    """One index of the whole, sized by its partitions, plain or on an expression; rolled out, the target plans as promised."""
    workload = (
        Statement(name="one", sql="SELECT at FROM visit WHERE visitor = 'Visitor77'", calls=100),
        Statement(name="any_case", sql="SELECT count(*) FROM visit WHERE lower(visitor) = 'visitor77'", calls=100),
        Statement(name="known", sql="SELECT at FROM visit WHERE visit_id = 5", calls=100),
    )
    async with store.writing() as connection:
        for statement in VISITS.split(";"):
            await connection.execute(statement.encode())
    advice = await advise(store, server, workload, budget=BUDGET)
    assert {(make.index.table, make.leaves) for make in advice.make} == {("public.visit", 2)}
    assert {name for make in advice.make for name in make.helps} >= {"one", "any_case"}
    findings = findings_of(advice)
    assert all(not one.cure.statements for one in findings)
    async with Rollout.open(store) as rollout:
        outcome = await rollout.run(Change.of("visits", [one.cure.operation for one in findings if one.cure.operation]))
    assert outcome.standing.state == "completed"
    async with store.writing() as connection:
        await connection.execute("ANALYZE visit")  # of the expression, too
        made = [[make.index.name for make in advice.make]]
        cursor = await connection.execute(
            "SELECT sum(pg_relation_size(p.relid)) FROM unnest(%s::text[]) n, pg_partition_tree(n::regclass) p", made
        )
        row = await cursor.fetchone()
        assert row is not None and abs(row[0] - advice.bytes) <= max(4 * 8192, advice.bytes / 5)
        bench, sizes = await Bench.build(connection, {"by_rest": Index(table="public.visit", keys=("(visit_id % 1000)",))})
        rest = Statement(name="rest", sql="SELECT count(*) FROM visit WHERE visit_id % 1000 = 7")
        proof = await bench.compare(rest, (), ("by_rest",), seconds=0.05)
        assert sizes["by_rest"] > 40_000 * 6 and proof.used == {"by_rest"} and proof.faster
    there = await costs_there(store, workload)
    for one in workload:
        assert there[one.name][0] <= advice.statements[one.name][1] * 1.25, one.name
        assert "Seq Scan" not in there[one.name][1]


def test_a_workload_is_read_from_a_file(tmp_path: Path) -> None:
    """Names and calls stand before a statement; what is wrong is said."""
    file = tmp_path / "workload.sql"
    file.write_text("-- ours\n-- name: née\n-- calls: 2.5\nSELECT 'a;b' -- c\n;\n\nDELETE FROM t;\n-- the end\n")
    one, other = read_statements(file)
    assert (one.name, one.calls, one.sql) == ("née", 2.5, "-- ours\nSELECT 'a;b' -- c")
    assert (other.name, other.calls, other.sql) == ("s2", 1.0, "DELETE FROM t")
    for wrong, words in (("", "no statement"), ("-- calls: many\nSELECT 1;", "no number"), ("SELEC 1;", "cannot be read")):
        file.write_text(wrong)
        with pytest.raises(InvalidInput, match=words):
            read_statements(file)


async def test_a_workload_is_read_from_the_target(store: Target) -> None:
    """pg_stat_statements gives this database's statements with their calls; without it, the error says what to do."""
    with pytest.raises(InvalidInput, match="pg_stat_statements"):
        await read_target(store)
    async with store.writing() as connection:
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        for number in range(3):
            await connection.execute("SELECT total FROM orders WHERE customer_id = %s", [number])
    found = await read_target(await Target.open(store.url))
    (ours,) = [one for one in found if "customer_id = $1" in one.sql]
    assert (ours.calls, ours.parameters) == (3, True)


def test_the_command(store: Target, command: Command, tmp_path: Path) -> None:
    """It prints findings with their cures, for people and as JSON."""
    file = tmp_path / "workload.sql"
    file.write_text("-- name: mine\n-- calls: 100\nSELECT total FROM orders WHERE customer_id = 5;")
    answer = command("doctor", "indexes", store.url, "--workload", file, "--budget", "10MB", "--json").json
    (finding,) = answer["findings"]
    assert finding["check"] == "index_missing" and finding["object"].startswith("public.orders (customer_id)")
    assert finding["evidence"]["statements"]["mine"][1] < finding["evidence"]["statements"]["mine"][0]
    shown = command("doctor", "indexes", store.url, "--workload", file)
    assert "CREATE INDEX CONCURRENTLY" in shown.out and shown.code == 0
    assert "must be a size" in command("doctor", "indexes", store.url, "--workload", file, "--budget", "much").err


def test_an_interval_holds_the_median() -> None:
    """Six runs are the fewest that bound a median by 95 %; more runs, tighter; too few say nothing."""
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0]) == (0.0, float("inf"))
    assert interval([6.0, 1.0, 2.0, 3.0, 4.0, 5.0]) == (1.0, 6.0)
    assert interval([float(n) for n in range(1, 31)]) == (10.0, 21.0)


async def test_proof_measures_and_takes_back_what_slows(store: Target) -> None:
    """What the planner promises is measured on rows: a lookup gets faster beyond its interval, an update pays WAL and its HOT."""
    lookup = Statement(name="lookup", sql="SELECT total FROM orders WHERE customer_id = 77")
    update = Statement(name="update", sql="UPDATE orders SET note = 'y' WHERE order_id = 500")
    twice = Statement(name="twice", sql="INSERT INTO orders SELECT * FROM orders WHERE order_id = 500")
    indexes = {
        "by_customer": Index(table=ORDERS, keys=("customer_id",)),
        "by_note": Index(table=ORDERS, keys=("note",)),
    }
    async with store.writing() as connection:
        await connection.execute("ALTER TABLE orders SET (fillfactor = 50)")
        await connection.execute("VACUUM FULL orders")
        bench, sizes = await Bench.build(connection, indexes)
        assert sizes["by_customer"] > sizes["by_note"] > 8192
        proven = await prove(bench, indexes, (twice, lookup, update), seconds=0.05)
        row = await (await connection.execute("SELECT note FROM orders WHERE order_id = 500")).fetchone()
    assert proven.proofs["lookup"].faster and proven.proofs["lookup"].used == {"by_customer"}
    before, after = proven.proofs["update"].hot_share
    assert before is not None and before > 0.3 and after == 0.0
    assert proven.proofs["update"].wal_bytes[1] > proven.proofs["update"].wal_bytes[0]
    assert row == ("x" * 80,)  # nothing that was measured stays
    assert proven.failed.keys() == {"twice"} and "duplicate key" in proven.failed["twice"]


def test_the_command_proves_and_applies(store: Target, command: Command, tmp_path: Path) -> None:
    """Measured on a scratch copy, then built on the database: figures with their interval, and what was kept."""
    file = tmp_path / "workload.sql"
    file.write_text("-- name: mine\n-- calls: 100\nSELECT total FROM orders WHERE customer_id = 5;")
    answer = command("doctor", "indexes", store.url, "--workload", file, "--prove", "--apply", "--json").json
    measured = answer["findings"][0]["evidence"]["measured"]["mine"]
    assert measured["ratio"] < 0.5 and measured["interval"][0] <= measured["ratio"] <= measured["interval"][1]
    assert [one["kept"] for one in answer["applied"]] == [True] and not answer["vetoed"]


def test_a_rollout_keeps_what_the_proof_promised(store: Target, command: Command, tmp_path: Path) -> None:
    """The finding is cured by its id; on the database the statement is then as much faster as was measured on the copy."""
    # A tenth of the rows: what takes a fixed time (to open an index, to go down it) is little of it, on whichever side.
    statement = "SELECT sum(total), max(note) FROM orders WHERE ordered_at < timestamptz '2026-01-05'"
    file, report = tmp_path / "workload.sql", tmp_path / "report.json"
    file.write_text(f"-- name: mine\n-- calls: 100\n{statement};\n-- name: control\nSELECT count(*) FROM customer;")
    report.write_text(command("doctor", "indexes", store.url, "--workload", file, "--prove", "--json").out)
    finding = json.loads(report.read_text())["findings"][0]
    run = command("rollout", "run", "--finding", finding["id"], "--report", report, store.url, "--json")
    assert run.json["rollout"]["state"] == "completed"
    low, high = finding["evidence"]["measured"]["mine"]["interval"]
    # A busy moment moves both sides for as long as it lasts; a promise that is wrong is wrong each time.
    kept = [in_own_loop(lambda: in_turn(store, statement)) for _ in range(5)]
    assert high < 0.5 and any(one[0] <= high and low <= one[1] for one in kept), (low, high, kept)
    told = command("doctor", "promises", store.url, "--json").json["promises"]
    mine, size = sorted(told, key=lambda one: str(one["source"]), reverse=True)
    assert (mine["name"], mine["source"], mine["kind"], size["source"]) == ("mine", "proof", "create_index", "estimate")
    assert mine["promised"] == mine["expected"] == finding["evidence"]["measured"]["mine"]["ratio"]
    assert mine["control"] is not None and mine["measured"] < 0.5 and 0.5 < size["measured"] / size["promised"] < 2


async def in_turn(store: Target, statement: str) -> tuple[float, float]:
    """The interval of its time's ratio, with its index to without, on the database; both in turn, as a proof has it."""
    without = b"SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexonlyscan = off"
    times: tuple[list[float], list[float]] = ([], [])
    async with store.reading() as connection:
        for number in range(40):
            for side in (0, 1) if number % 2 else (1, 0):
                async with connection.transaction():
                    await connection.execute(b"SELECT 1" if side else without)
                    plan = await connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}".encode())
                    row = await plan.fetchone()
                    assert row is not None
                    times[side].append(float(row[0][0]["Execution Time"]))
    return interval([one / other for other, one in zip(*times, strict=True)])
