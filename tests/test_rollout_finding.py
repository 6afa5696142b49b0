"""`milepost rollout run --finding`: a finding's cure, applied by its id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_postgres import in_own_loop
from milepost.postgres import Database

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]


@pytest.fixture
async def shop(database_url: str) -> str:
    """A database with a foreign key that no index serves, a table without a key, and a trigger that does nothing."""
    async with await Database.connect_owner(database_url) as connection:
        for statement in (
            "CREATE TABLE parent (id int PRIMARY KEY)",
            "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent)",
            "INSERT INTO child SELECT generate_series(1, 11000)",
            "CREATE TABLE keyless AS SELECT generate_series(1, 11000) AS id",
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER idle BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION nothing()",
            "ANALYZE",
        ):
            await connection.execute(statement.encode())
    return database_url


async def forget(shop: str) -> None:
    async with await Database.connect_owner(shop) as connection:
        await connection.execute(b"DROP INDEX child_p_idx")


def found(command: Command, shop: str, check: str) -> list[str]:
    report = command("doctor", "check", shop, "--json").json
    return [one["id"] for one in report["findings"] if one["check"] == check]


def test_a_cure_is_applied_once(command: Command, shop: str) -> None:
    """Planned, run, and then the finding is gone: a second run says so. When the fault is back, so is the cure."""
    (one,) = found(command, shop, "missing_foreign_key_index")
    planned = command("rollout", "plan", "--finding", one, shop, "--json").json
    assert [each["operation"] for each in planned["operations"]] == ["create_index"]
    for _ in range(2):
        run = command("rollout", "run", "--finding", one, shop, "--json").json["rollout"]
        assert (run["name"], run["state"]) == (one, "completed")
        assert found(command, shop, "missing_foreign_key_index") == []
        again = command("rollout", "run", "--finding", one, shop)
        assert again.code == 3 and f"no finding {one} here now" in again.err
        in_own_loop(lambda: forget(shop))


def test_a_held_cure_is_completed(command: Command, shop: str) -> None:
    """Under way, it goes on by its finding's id, though the finding is no longer seen."""
    (one,) = found(command, shop, "missing_foreign_key_index")
    assert command("rollout", "run", "--finding", one, shop, "--hold", "--json").json["rollout"]["state"] == "held"
    assert command("rollout", "run", "--finding", one, shop, "--json").json["rollout"]["state"] == "completed"


def test_what_no_rollout_cures(command: Command, shop: str) -> None:
    """Its reason is said, one sentence; nothing is touched."""
    (one,) = found(command, shop, "missing_primary_key")
    answer = command("rollout", "run", "--finding", one, shop)
    assert answer.code == 3 and "Which columns tell rows apart is for a person to say." in answer.err
    assert command("rollout", "status", shop, "--json").json == {"rollout": None}


def test_a_finding_of_a_report(command: Command, shop: str, tmp_path: Path) -> None:
    """What another command of the doctor found is read from its output; without it, one is told how."""
    report = tmp_path / "triggers.json"
    report.write_text(command("doctor", "triggers", shop, "--json").out)
    (one,) = [each["id"] for each in json.loads(report.read_text())["findings"]]
    asked = command("rollout", "run", "--finding", one, shop)
    assert asked.code == 2 and "--report" in asked.err
    assert (
        command("rollout", "run", "--finding", one, "--report", report, shop, "--json").json["rollout"]["state"] == "completed"
    )
    assert command("doctor", "triggers", shop, "--json").json["findings"] == []


@pytest.mark.parametrize("words", [(), ("a.toml", "b", "c"), ("a.toml", "--limit", "a.b=1"), ("--finding", "x-1", "b", "c")])
def test_wrong_use(command: Command, words: tuple[str, ...]) -> None:
    """A file or findings, and then at most one database."""
    assert command("rollout", "run", *words).code == 2
