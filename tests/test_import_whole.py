"""Whole data sets through a real database: all that the map makes is loaded, what cannot be is rejected for its reason, and every
number is what the activities say.

The memberships of k8s-org-roles are 34,000 commands, one after the other: about a minute, so it runs with `MILEPOST_TEST_IMPORTS=all`
alone. Each prints its rates.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from effort import LONG
from fix_import import data_set
from milepost.access.tenants import create_tenant
from milepost.importing import Summary, load_map, run_import
from milepost.importing.database import open_sink
from milepost.postgres import Database
from milepost.rollups.verify import verify
from milepost.schema.models import apply_model
from milepost.settings import Settings

EXAMPLES = Path(__file__).parents[1] / "examples"
ALL = os.environ.get("MILEPOST_TEST_IMPORTS") == "all"
PAST = datetime(2022, 6, 1, tzinfo=UTC)

pytestmark = pytest.mark.timeout(600)

Members = dict[tuple[str, str], str]  # group, actor → role


async def load(db: Database, url: str, settings: Settings, path: Path, map_path: Path, folder: Path) -> Summary:
    """Imports, verifies that nothing differs, and prints how fast both went."""
    async with await Database.connect_owner(url) as owner:
        await apply_model(owner, (map_path.parent / "model.toml").read_text(encoding="utf-8"))
    async with db.transaction("write") as conn:
        assert (await create_tenant(conn, "demo", 1)).tenant_id == 1
    began = monotonic()
    async with open_sink(db, settings, "demo") as sink:
        summary = await run_import(
            path, load_map(map_path), sink, tenant="demo", progress_folder=folder, rejects_path=folder / "rejects.jsonl"
        )
    imported = monotonic()
    outcome = await verify(db)
    assert outcome.differences == 0, outcome.items[:3]
    counts = summary.counts
    assert counts.dead_letters == 0
    print(
        f"\n{path.name}: {counts.members:,} members and {counts.accepted:,} activities in {imported - began:.1f} s,"
        f" {outcome.checked} checks in {monotonic() - imported:.1f} s"
    )
    return summary


async def rows_of(db: Database, query: str) -> list[Any]:
    async with db.transaction("analytics", tenant_id=1) as conn:
        return await (await conn.execute(query.encode())).fetchall()


@pytest.mark.skipif(not (ALL or LONG), reason="MILEPOST_TEST_LONG runs it: half a minute")
async def test_xapi_statements(db: Database, template_url: str, settings: Settings, tmp_path: Path) -> None:
    """Every statement is an activity, counted in its class and in the school above it; every learner is a member."""
    path = data_set("xapi-statements") / "statements.jsonl.gz"
    summary = await load(db, template_url, settings, path, EXAMPLES / "classroom" / "xapi-statements.map.toml", tmp_path)
    counts = summary.counts
    assert (counts.loaded, counts.duplicates, counts.rejected) == (counts.read, 0, 0)
    assert await rows_of(db, "SELECT count(*) FROM milepost.activity") == [(counts.read,)]
    assert await rows_of(db, "SELECT count(*) FROM milepost.member WHERE until = 'infinity'") == [(counts.members,)]


@pytest.mark.skipif(not ALL, reason="MILEPOST_TEST_IMPORTS=all runs it: a minute")
async def test_k8s_org_roles(db: Database, template_url: str, settings: Settings, tmp_path: Path) -> None:
    """Members are who the tables say today, and who the events say in the past; a removal of nobody is rejected, and nothing else."""
    folder = data_set("k8s-org-roles")
    summary = await load(db, template_url, settings, folder, EXAMPLES / "research" / "k8s-org-roles.map.toml", tmp_path)
    then, absent = replayed(folder)
    assert summary.counts.loaded == summary.counts.read
    assert (summary.counts.rejected, sum(summary.counts.reasons.values())) == (absent, absent)
    assert await members_at(db, "infinity") == of_tables(folder)
    assert await members_at(db, PAST.isoformat()) == then


async def members_at(db: Database, moment: str) -> Members:
    found = await rows_of(
        db,
        "SELECT g.external_id, a.external_id, m.role FROM milepost.member m JOIN milepost.groups g USING (tenant_id, group_id)"
        f" JOIN milepost.actor a USING (tenant_id, actor_id) WHERE m.since <= '{moment}' AND"
        f" (m.until > '{moment}' OR m.until = 'infinity')",
    )
    assert len(found) == len({row[:2] for row in found})
    return {(group, actor): role for group, actor, role in found}


def replayed(folder: Path) -> tuple[Members, int]:
    """The members at `PAST` by the events alone, and how many events take away a membership that is not there."""
    members: Members = {}
    then: Members = {}
    absent = 0
    for row in table(folder / "membership_events.csv.gz"):
        what, _, how = row["action"].partition(".")
        if what not in ("org_role", "team_role"):
            continue
        if not then and datetime.fromisoformat(row["occurred_at"]) > PAST:
            then = dict(members)
        group = f"{row['organisation']}/{row['team']}" if what == "team_role" else row["organisation"]
        if how == "removed":
            absent += members.pop((group, row["subject"]), None) is None
        else:
            members[group, row["subject"]] = row["new_value"]
    return then, absent


def of_tables(folder: Path) -> Members:
    found = {(row["organisation"], row["user_id"]): row["role"] for row in table(folder / "org_members.csv.gz")}
    for row in table(folder / "team_members.csv.gz"):
        found[f"{row['organisation']}/{row['team']}", row["user_id"]] = row["role"]
    return found


def table(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as opened:
        yield from csv.DictReader(opened)
