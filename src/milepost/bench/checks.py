"""Checks: who may do what, among a million members in ten thousand teams three levels deep, timed in the database.

A time is that of a request's whole transaction on a local socket, as for pages. Half of the questions have the answer no. `many` asks a
thousand at once. Beside them: what a viewer may read (asked once for each read), one member, a page of a group's members, and
who may do something in the largest group.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

from milepost.access.groups import get_member, list_members
from milepost.access.permissions import CHECKS_MAX, Check, allowed, permitted
from milepost.access.tenants import create_tenant
from milepost.access.viewer import Viewer, reader_of
from milepost.bench._ground import say
from milepost.bench._report import Figure, Report, percentile
from milepost.errors import NotFound
from milepost.model import parse_model
from milepost.postgres import Connection, Database, EmbeddedServer, load_queries
from milepost.schema import migrate
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.storage.by_index import plan_by_index

__all__ = ["measure"]

MEMBERS = 1_000_000
ASKED = 2_000  # of each kind, a tenth of them to warm up
BATCHES = 20
LARGEST = 11  # the league with a tenth of all members

MODEL = """
name = "bench"
[groups.region]
[groups.league]
parent = "region"
roles.steward = ["read", "correct", "invite"]
roles.member = ["read"]
[groups.team]
parent = "league"
roles.captain = ["read", "write", "invite"]
roles.member = ["read"]
permissions.data = ["correct"]
[verbs.run]
"""

_queries = load_queries(__package__, "checks.sql")


async def measure(settings: Settings, folder: Path, members: int = MEMBERS) -> Report:
    groups = max(1_210, 210 + members // 100)
    report = Report(scenario="checks", settings={"members": members, "groups": groups, "asked": ASKED, "batch": CHECKS_MAX})
    with EmbeddedServer.start(folder / "data", bin_dir=settings.pg_bin) as server:
        url = server.ensure_database("bench")
        async with await Database.connect_owner(url) as owner:
            await migrate(owner, 1)
            await apply_model(owner, MODEL)
            tenant = await create_tenant(owner, "bench", 1)
            given = {"tenant_id": tenant.tenant_id, "members": members, "groups": groups}
            say(f"making {members:,} members of {groups:,} groups")
            for query in (
                _queries.actors,
                _queries.groups,
                _queries.spans,
                _queries.reach,
                _queries.memberships,
                _queries.settle,
            ):
                await owner.execute(query, given if "%(" in query else None)
        async with await Database.open(url, Settings(data_dir=folder, lanes=1, database_url=url)) as db:
            await _measured(report, db, tenant.tenant_id, members, groups)
    return report


async def _measured(report: Report, db: Database, tenant_id: int, members: int, groups: int) -> None:
    model, draw = parse_model(MODEL), random.Random(7)

    def question() -> Check:
        actor = draw.randrange(1, members + 1)
        own = 211 + (actor * 7 + 331 * draw.randint(1, 3)) % (groups - 210)
        group = own if draw.random() < 0.7 else draw.randrange(211, groups + 1)
        return Check(actor=f"user-{actor}", action=draw.choice(["read", "correct", "invite"]), group=f"group-{group}")

    async def one(conn: Connection) -> object:
        await plan_by_index(conn, sorts=True)
        return await allowed(conn, tenant_id, model, [question()])

    async def many(conn: Connection) -> object:
        await plan_by_index(conn, sorts=True)
        return await allowed(conn, tenant_id, model, [question() for _ in range(CHECKS_MAX)])

    async def viewer(conn: Connection) -> object:
        return await reader_of(conn, tenant_id, Viewer(actor_id=draw.randrange(1, members + 1), actor=""), model)

    async def member(conn: Connection) -> object:
        asked = question()
        try:
            return await get_member(conn, tenant_id, asked.group or "", asked.actor)
        except NotFound:
            return None

    async def page(conn: Connection) -> object:
        return await list_members(conn, tenant_id, f"group-{draw.randrange(211, groups + 1)}")

    async def who_may(conn: Connection) -> object:
        await plan_by_index(conn, sorts=True)
        return await permitted(conn, tenant_id, model, "correct", LARGEST)

    for name, read, most in (
        ("check", one, 1.0),
        ("viewer", viewer, None),
        ("member", member, 1.0),
        ("members_of_team", page, None),
        ("permitted_of_largest", who_may, None),
    ):
        times = await _timed(db, tenant_id, read, ASKED)
        for share, named in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
            target = most if named == "p95" else None
            report.figures.append(Figure(name=f"{name}_{named}_ms", value=percentile(times, share), unit="ms", at_most=target))
        say(f"{name}: p50 {percentile(times, 0.5):.2f}, p95 {percentile(times, 0.95):.2f} ms")
    times = await _timed(db, tenant_id, many, BATCHES)
    rate = CHECKS_MAX * 1000 / percentile(times, 0.5)
    report.figures.append(Figure(name="many_checks_per_s", value=rate, unit="1/s", at_least=10_000))
    say(f"many: {rate:,.0f} checks a second")


async def _timed(db: Database, tenant_id: int, read: Callable[[Connection], Awaitable[object]], times: int) -> list[float]:
    """Milliseconds of each, in a transaction of its own, as a request has it; the first tenth is not looked at."""
    found = []
    for _ in range(times):
        began = perf_counter()
        async with db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
            await read(conn)
        found.append((perf_counter() - began) * 1000)
    return found[times // 10 :]
