"""Imports into a real database: what the map makes is there, once, and what is refused is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from milepost.access.tenants import create_tenant
from milepost.errors import NotFound
from milepost.importing import Summary, parse_map, run_import
from milepost.importing.database import open_sink
from milepost.postgres import Database
from milepost.schema.models import apply_model
from milepost.settings import Settings

MODEL = """
name = "fitness"
[groups.league]
[groups.team]
parent = "league"
roles.member = ["read"]
[verbs.run]
object = "workout"
measures.distance_m = { type = "decimal(1)", min = 0, max = 1000 }
[rollups.team_distance]
of = "run"
by = ["group"]
belongs = "membership"
per = ["all"]
values = ["count", "sum(distance_m)"]
"""
MAP = """
zone = "UTC"
[[groups]]
rows = [{ id = "t1", parent = "l" }, { id = "t2", parent = "l" }]
id = "{id}"
kind = "team"
parent = "{parent}"
[[groups]]
rows = [{ id = "l" }]
id = "{id}"
kind = "league"
[[members]]
group = "{team}"
actor = "{who}"
role = "{role}"
[[activities]]
key = "{id}"
occurred_at = "{at}"
actor = "{who}"
verb = "run"
object = { kind = "workout", id = "{id}" }
measures.distance_m = "{m}"
"""
ROWS = """id,at,who,team,role,m
a,2026-03-01 07:12,ann,t1,member,10.5
b,2026-03-02 07:12,bob,t2,member,20
c,2026-03-03 07:12,ann,t1,member,5000
d,2026-03-04 07:12,eve,t1,boss,1
"""


@pytest.fixture
async def modelled(db: Database, template_url: str) -> Database:
    """A database with the model and a tenant."""
    async with await Database.connect_owner(template_url) as owner:
        await apply_model(owner, MODEL)
    async with db.transaction("write") as connection:
        await create_tenant(connection, "demo", 1)
    return db


async def load(db: Database, settings: Settings, folder: Path) -> Summary:
    path = folder / "rows.csv"
    path.write_text(ROWS)
    async with open_sink(db, settings, "demo") as sink:
        return await run_import(
            path,
            parse_map(MAP),
            sink,
            tenant="demo",
            progress_folder=folder / "imports",
            rejects_path=folder / "rejects.jsonl",
            batch_rows=2,
        )


async def test_loaded_once(modelled: Database, settings: Settings, tmp_path: Path) -> None:
    """Groups, members and activities are there; what the model or the lane refuses is rejected; twice counts once."""
    for again in (False, True):
        counts = (await load(modelled, settings, tmp_path)).counts
        assert (counts.read, counts.accepted, counts.groups, counts.members) == (4, 3, 3, 2)
        assert (counts.loaded, counts.duplicates) == ((0, 3) if again else (3, 0))
        assert counts.rejected == 2
        found = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
        assert [(one["section"], one["pointer"]) for one in found] == [
            ("members", "/role"),
            ("activities[1]", "/measures/distance_m"),
        ]
        assert found[0]["row"]["actor"] == "eve"
        async with modelled.transaction("point", tenant_id=1) as connection:
            rows = await (
                await connection.execute(
                    "SELECT g.external_id, r.n FROM milepost.rollup_team_distance r "
                    "JOIN milepost.groups g USING (tenant_id, group_id) WHERE r.per = 'all' ORDER BY 1"
                )
            ).fetchall()
        assert rows == [("l", 2), ("t1", 1), ("t2", 1)]


async def test_unknown_tenant(modelled: Database, settings: Settings) -> None:
    """A tenant that is not there is named before a file is opened."""
    with pytest.raises(NotFound):
        async with open_sink(modelled, settings, "nobody"):
            pass
