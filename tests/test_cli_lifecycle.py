"""`milepost retention`, `erase` and `export` on the command line, beside a server that does what the lane is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from fix_postgres import in_own_loop
from lifecycle_site import lifecycle_site, ran
from milepost.postgres import Database
from milepost.settings import Settings

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]


@pytest.fixture
def prepared(command: Command, template_url: str, tmp_path: Path) -> None:
    """Tenant a has three old runs and two new ones, by two actors."""

    async def prepare() -> None:
        settings = Settings(data_dir=tmp_path, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)
        async with await Database.open(template_url, settings) as db, lifecycle_site(db, settings) as site:
            await site.send([*(ran(n, days=40) for n in range(3)), ran(3, actor="user-2"), ran(4, content={"laps": [1]})])
            await site.lane.run_once()

    in_own_loop(prepare)


@pytest.mark.usefixtures("prepared")
def test_what_is_over_is_planned(command: Command) -> None:
    """The plan counts it, a rule is set within the model's bounds, and a hold takes it out again, until it is lifted."""
    planned = command("retention", "plan", "--tenant", "a", "--json").json["items"]
    assert {one["rule"]: one["activities"] for one in planned} == {"default": 3, "signed": 0, "tickets": 0}
    assert "run 3" in command("retention", "plan").out
    assert command("retention", "set", "default", "--tenant", "a", "--delete-after", "2 years").code != 0
    wrong = command("retention", "set", "default", "--tenant", "a", "--delete-after", "soon")
    assert (wrong.code, wrong.err) == (2, "Error: --delete-after: must be a duration, such as 6 months\n")
    assert command("retention", "set", "default", "--tenant", "a", "--delete-after", "20 days").code == 0
    number = command("retention", "hold", "--tenant", "a", "--actor", "user-1", "--reason", "case 7", "--json").json["id"]
    held = command("retention", "plan", "--tenant", "a", "--json").json["items"]
    assert sum(one["activities"] for one in held) == 0
    assert command("retention", "lift", number, "--tenant", "a").code == 0
    assert command("retention", "holds", "--tenant", "a", "--json").json["items"] == []
    assert command("retention", "log", "--tenant", "a", "--json").json["items"] == []


@pytest.mark.usefixtures("prepared")
def test_a_name_is_looked_for(command: Command) -> None:
    """Exit code 1 where it is, 0 where it is not; the ledger of nobody is empty; without a name it is wrong use."""
    found = command("erase", "user-1", "--tenant", "a", "--check", "--json")
    assert found.code == 1
    assert {"actor", "activity"} <= {one["where"] for one in found.json["items"]}
    assert command("erase", "user-77", "--tenant", "a", "--check").code == 0
    assert command("erase", "--ledger").out == ""
    assert command("erase").code == 2


@pytest.mark.usefixtures("prepared")
def test_exporting(command: Command, tmp_path: Path) -> None:
    """Lines on stdout or in a file, one actor's alone, and Parquet with a column for each field."""
    said = command("export", "--tenant", "a")
    assert said.code == 0, said.err
    rows = [json.loads(line) for line in said.out.splitlines()]
    runs = [row for row in rows if row["verb"] == "run"]
    assert len(runs) == 5
    assert [row["content"] for row in runs if "content" in row] == [{"laps": [1]}]
    file = tmp_path / "mine.jsonl"
    assert command("export", "--tenant", "a", "--actor", "user-2", "--format", "activitystreams", "--out", file).code == 0
    assert [json.loads(line)["actor"]["id"] for line in file.read_text().splitlines()] == ["milepost:actor/user-2"]
    table = tmp_path / "all.parquet"
    assert command("export", "--tenant", "a", "--format", "parquet", "--out", table).code == 0
    with duckdb.connect() as db:
        assert db.read_parquet(str(table)).filter("verb = 'run'").aggregate("count(*)").fetchall() == [(5,)]
    assert [one.name for one in tmp_path.glob("*.part")] == []
    assert command("export", "--tenant", "a", "--format", "parquet").code == 2
