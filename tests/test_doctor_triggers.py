"""`doctor triggers`: each is listed, measured on a scratch copy, and judged by what it does and costs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fix_cli import run_here
from milepost.doctor import Target
from milepost.doctor.triggers import Verdict, judge, measure_all, read_body, read_triggers
from milepost.doctor.triggers.measure import interval
from milepost.postgres import EmbeddedServer

# One table for each kind of trigger; its name says what should become of it.
GROUND = """
CREATE TABLE total (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO total VALUES (1, 0);
CREATE TABLE trail (id bigserial PRIMARY KEY, what jsonb, at timestamptz);
CREATE TABLE kept (id int PRIMARY KEY, state text NOT NULL, seen int NOT NULL DEFAULT 0, checked int NOT NULL CHECK (checked >= 0),
    made_at timestamptz, changed_at timestamptz, slug text, upper_state text, ref int NOT NULL REFERENCES total DEFAULT 1);
INSERT INTO kept (id, state, checked) SELECT i, 's' || i % 7, i FROM generate_series(1, 3000) i;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE total SET n = n + 1 WHERE id = NEW.ref; RETURN NULL; END $$;
CREATE FUNCTION copy_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO trail (what, at) VALUES (to_jsonb(OLD) || to_jsonb(NEW), now()); RETURN NULL; END $$;
CREATE FUNCTION guarded() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state THEN
        INSERT INTO trail (what, at) VALUES (to_jsonb(NEW.id), now()); -- only then
    END IF;
    RETURN NULL; END $$;
CREATE FUNCTION guarded_both() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' OR NEW.state IS DISTINCT FROM OLD.state THEN
        DELETE FROM trail WHERE id = NEW.id; END IF; RETURN NULL; END $$;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('kept', NEW.id::text); RETURN NULL; END $$;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.made_at := now(); RETURN NEW; END $$;
CREATE FUNCTION slugged() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.slug := lower(NEW.state); RETURN NEW; END $$;
CREATE FUNCTION uppered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.upper_state := upper(NEW.state); RETURN NEW; END $$;
CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.0001); RETURN NULL; END $$;
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM trail WHERE id = OLD.id; RETURN NULL; END $$;
CREATE FUNCTION dynamic() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1'; RETURN NULL; END $$;
CREATE FUNCTION all_at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO trail (what) SELECT to_jsonb(id) FROM added; RETURN NULL; END $$;
CREATE TRIGGER remove_empty BEFORE DELETE ON kept FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER keep_refusing BEFORE DELETE ON total FOR EACH ROW EXECUTE FUNCTION refuses();
CREATE TRIGGER fold_count AFTER INSERT ON kept FOR EACH ROW EXECUTE FUNCTION count_it();
CREATE TRIGGER remove_twin AFTER INSERT ON kept FOR EACH ROW EXECUTE FUNCTION count_it();
CREATE TRIGGER capture_copy AFTER UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION copy_it();
CREATE TRIGGER narrow_guarded AFTER UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION guarded();
CREATE TRIGGER narrow_of AFTER INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION guarded_both();
CREATE TRIGGER debounce_tell AFTER INSERT ON kept FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER generated_stamp BEFORE INSERT ON kept FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER merge_one BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION slugged();
CREATE TRIGGER merged_other BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION uppered();
CREATE TRIGGER jobs_wait AFTER DELETE ON kept FOR EACH ROW EXECUTE FUNCTION waits();
CREATE TRIGGER statement_forget AFTER DELETE ON kept FOR EACH ROW EXECUTE FUNCTION forget();
CREATE TRIGGER keep_unknown AFTER DELETE ON kept FOR EACH ROW EXECUTE FUNCTION dynamic();
CREATE TRIGGER keep_statement AFTER INSERT ON kept REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION all_at_once();
CREATE TRIGGER remove_off AFTER INSERT ON kept FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE kept DISABLE TRIGGER remove_off;
ANALYZE
"""
ACTIONS = {
    "remove_empty": "remove",
    "fold_count": "fold",
    "remove_twin": "remove",
    "capture_copy": "capture",
    "narrow_guarded": "narrow",
    "narrow_of": "narrow",
    "debounce_tell": "debounce",
    "generated_stamp": "generated",
    "merge_one": "merge",
    "merged_other": "keep",
    "jobs_wait": "jobs",
    "statement_forget": "statement",
    "keep_unknown": "keep",
    "keep_statement": "keep",
    "remove_off": "remove",
    "keep_refusing": "keep",
}


async def filled(url: str) -> Target:
    target = await Target.open(url)
    async with target.writing() as connection:
        await connection.execute(GROUND.encode())
    return target


async def judged(target: Target, server: EmbeddedServer | None = None, measured: tuple[str, ...] = ()) -> dict[str, Verdict]:
    """measured: names of those to be measured."""
    known = [(one, read_body(one)) for one in await read_triggers(target)]
    chosen = [pair for pair in known if pair[0].name in measured]
    costs, notes = await measure_all(target, chosen, rows_max=1000, server=server) if chosen else ([], ())
    assert notes == ()
    return {one.trigger.name: one for one in judge(known, costs)}


async def test_each_is_judged_by_what_it_does(database_url: str) -> None:
    """Without measuring, from definitions and bodies alone."""
    found = await judged(await filled(database_url))
    assert {name: one.action for name, one in found.items()} == ACTIONS
    assert all((one.finding() is None) == (one.action == "keep") for one in found.values())


async def test_a_narrowed_trigger_does_the_same(database_url: str) -> None:
    """The definitions that are given run as they stand, and then the trigger still does its work, and only that."""
    target = await filled(database_url)
    found = await judged(target)
    assert found["narrow_guarded"].statements == (
        "CREATE OR REPLACE TRIGGER narrow_guarded AFTER UPDATE ON public.kept FOR EACH ROW "
        "WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION guarded()",
    )
    assert "AFTER INSERT OR UPDATE OF state ON public.kept" in found["narrow_of"].statements[0]
    finding = found["narrow_guarded"].finding()
    assert finding is not None and finding.cure.operation == {
        "operation": "narrow_trigger",
        "table": "public.kept",
        "trigger": "narrow_guarded",
        "when": "OLD.state IS DISTINCT FROM NEW.state",
    }
    async with target.writing() as connection:
        for one in found.values():
            for statement in one.statements:
                await connection.execute(statement.encode())
        await connection.execute("UPDATE kept SET state = 'new' WHERE id = 7")
        await connection.execute("DROP TRIGGER capture_copy ON kept")
        await connection.execute("UPDATE kept SET seen = 1 WHERE id < 100")
        row = await (await connection.execute("SELECT count(*) FROM trail WHERE what = '7'")).fetchone()
    assert row == (1,)


async def test_costs_are_measured_on_a_scratch_copy(server: EmbeddedServer, database_url: str) -> None:
    """Time with an interval, statements, WAL and locks of each, a row; the database itself is as it was."""
    target = await filled(database_url)
    async with target.reading() as connection:
        state = "SELECT n, (SELECT count(*) FROM trail), (SELECT count(*) FROM kept) FROM total"
        before = await (await connection.execute(state)).fetchone()
    found = await judged(target, server, ("fold_count", "capture_copy", "jobs_wait", "statement_forget", "remove_off"))
    counted = {one.shape.kind: one for one in found["fold_count"].costs}["insert"]
    assert (counted.rows, counted.calls, counted.statements) == (100, 100, 1.0)
    assert counted.ms is not None and counted.own_ms > 0 and 0 < counted.share < 1
    assert counted.wal_bytes is not None and counted.wal_bytes > 50
    (copied,) = found["capture_copy"].costs
    assert copied.statements == 1.0 and copied.locks == () and copied.wal_bytes is not None and copied.wal_bytes > 100
    (waited,) = found["jobs_wait"].costs
    assert waited.proven and waited.ms is not None and 0.1 < waited.ms < 10 and waited.share > 0.3
    assert found["remove_off"].costs == () and found["statement_forget"].costs[0].statements == 1.0
    async with target.reading() as connection:
        assert await (await connection.execute(state)).fetchone() == before


async def test_locks_that_only_the_trigger_takes(server: EmbeddedServer, database_url: str) -> None:
    """What a write locks only because of a trigger is named."""
    target = await Target.open(database_url)
    async with target.writing() as connection:
        await connection.execute(b"""
            CREATE TABLE far (n int); CREATE TABLE near (id int PRIMARY KEY, n int); INSERT INTO near SELECT i, i FROM generate_series(1, 200) i;
            CREATE FUNCTION to_far() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO far VALUES (NEW.n); RETURN NULL; END $$;
            CREATE TRIGGER reaches AFTER UPDATE ON near FOR EACH ROW EXECUTE FUNCTION to_far()""")
    found = await judged(target, server, ("reaches",))
    assert found["reaches"].costs[0].locks == ("RowExclusiveLock on far",)


async def test_shapes_are_those_of_the_statements_seen(server: EmbeddedServer, database_url: str) -> None:
    """Which columns, how many rows, by pg_stat_statements where it is."""
    target = await filled(database_url)
    async with target.writing() as connection:
        row = await (await connection.execute("SHOW shared_preload_libraries")).fetchone()
        if row is None or "pg_stat_statements" not in row[0]:
            pytest.skip("the server has no pg_stat_statements")
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        for at in (5, 6):
            await connection.execute(f"UPDATE kept SET seen = seen + 1, checked = 3 WHERE id <= {at}".encode())
    target = await Target.open(database_url)
    found = await judged(target, server, ("capture_copy",))
    (cost,) = found["capture_copy"].costs
    assert (cost.shape.columns, cost.shape.rows, cost.shape.source) == (("seen", "checked"), 6, "pg_stat_statements")
    assert cost.rows == 6


async def test_in_place_it_is_rolled_back(database_url: str) -> None:
    """Told to, it measures on the database itself: what EXPLAIN says of the trigger, with nothing disabled and nothing left."""
    target = await filled(database_url)
    known = [(one, read_body(one)) for one in await read_triggers(target, tables=("kept",)) if one.name == "capture_copy"]
    costs, notes = await measure_all(target, known, on_database=True)
    assert notes == () and costs[0].ms is None and costs[0].own_ms > 0 and costs[0].calls == 100
    async with target.reading() as connection:
        row = await (
            await connection.execute("SELECT count(*), (SELECT count(*) FROM kept WHERE seen > 0) FROM trail")
        ).fetchone()
    assert row == (0, 0)


def test_an_interval_holds_the_median() -> None:
    """Order statistics of the sign test: of eleven, the second and the tenth; of too few, all."""
    assert interval(list(range(11))) == (1, 9)
    assert interval([3.0, 4.0, 5.0]) == (3.0, 5.0)


async def test_the_command_ranks(postgres_bin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On each PostgreSQL that is here, with a scratch server of its own: as JSON and for a person."""
    with EmbeddedServer.start(tmp_path, durable=False, bin_dir=postgres_bin) as server:
        url = server.ensure_database("shop")
        target = await filled(url)
        async with target.writing() as connection:
            for name in ACTIONS.keys() - {"fold_count", "narrow_guarded", "keep_statement"}:
                await connection.execute(f"DROP TRIGGER {name} ON {'total' if name == 'keep_refusing' else 'kept'}".encode())
        capsys.readouterr()
        assert await asyncio.to_thread(run_here, ["doctor", "triggers", "--measure", "--rows", "500", "--json", url]) == 0
        answer = json.loads(capsys.readouterr().out)
        by_name = {one["trigger"].rpartition(".")[2]: one for one in answer["triggers"]}
        assert {name: one["action"] for name, one in by_name.items()} == {
            name: ACTIONS[name] for name in ("fold_count", "narrow_guarded", "keep_statement")
        }
        assert answer["notes"] == [] and len(answer["findings"]) == 2
        assert by_name["fold_count"]["costs"][0]["own_ms"] > 0 and by_name["fold_count"]["costs"][0]["statements"] == 1.0
        assert list(by_name)[-1] == "keep_statement"
        assert await asyncio.to_thread(run_here, ["doctor", "triggers", url, "--table", "kept"]) == 0
        shown = capsys.readouterr().out
        assert "public.kept.fold_count" in shown and "CREATE OR REPLACE TRIGGER narrow_guarded" in shown
