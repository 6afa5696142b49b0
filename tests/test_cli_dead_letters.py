"""`milepost dead-letters`: list, show, replay, discard and log, for people and for scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dead_letter_site import Site, a_run
from fix_postgres import in_own_loop
from milepost.intake.queue import Queue
from milepost.postgres import Database
from milepost.settings import Settings

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]


@pytest.fixture
def letters(command: Command, template_url: str, tmp_path: Path) -> list[dict[str, Any]]:
    """Tenant a has three letters: rows 3 and 4, row 8, and raw input; tenant b has one."""

    async def prepare() -> None:
        settings = Settings(data_dir=tmp_path, write_pool_min=0, point_pool_min=0, analytics_pool_min=0, lanes=1)
        async with await Database.open(template_url, settings) as db:
            owner = await db.owner()
            queue = Queue(db, settings)
            await queue.start()
            site = Site(db, owner, settings, queue)
            await site.prepare()
            await site.refuse("key NOT IN ('run-3', 'run-4', 'run-8')")
            await site.send([a_run(number, measures={"distance_m": 5200.1}) for number in range(10)])
            await site.send([a_run(8)], "b")
            await site.lane.run_once()
            await owner.execute(
                b"INSERT INTO milepost.dead_letter (tenant_id, kind, via, model, rows, received_at, payload, error, error_class)"
                b" VALUES (%s, 2, 'segment', 1, 1, %s, %s, 'no verb fits', 'mapping')",
                (site.tenants["a"], datetime.now(UTC), json.dumps({"type": "track", "event": "Swim"}).encode()),
            )
            await site.allow()
            await site.lane.close()
            await queue.stop()
            await owner.close()

    in_own_loop(prepare)
    found = command("dead-letters", "list", "--json")
    assert found.code == 1
    items: list[dict[str, Any]] = found.json["items"]
    return items


def test_listing(command: Command, letters: list[dict[str, Any]]) -> None:
    """Oldest first, each tenant's; options select; a table for people says how much of its batch each is."""
    assert [(one["tenant"], one["first_row"], one["rows"], one["error_class"]) for one in letters] == [
        ("a", 3, 2, "constraint"),
        ("a", 8, 1, "constraint"),
        ("a", 0, 1, "mapping"),
        ("b", 0, 1, "constraint"),
    ]
    assert len(command("dead-letters", "list", "--json", "--tenant", "b").json["items"]) == 1
    assert len(command("dead-letters", "list", "--json", "--error-class", "mapping").json["items"]) == 1
    assert len(command("dead-letters", "list", "--json", "--kind", "activities", "--from", "2026-01-01").json["items"]) == 3
    assert command("dead-letters", "list", "--to", "2026-01-01").code == 0
    page = command("dead-letters", "list", "--json", "--tenant", "a", "--limit", "1").json
    assert page["more"] and [one["id"] for one in page["items"]] == [letters[0]["id"]]
    shown = command("dead-letters", "list").out
    assert "2 of 10 " in shown
    assert 'violates check constraint "poison"' in shown
    assert "4 dead letters of 5 rows" in shown


def test_showing(command: Command, letters: list[dict[str, Any]]) -> None:
    """The error with its facts, and what was sent, as JSON."""
    number = letters[0]["id"]
    found = command("dead-letters", "show", number, "--json").json
    assert [item["activity"]["key"] for item in found["items"]] == ["run-3", "run-4"]
    assert found["items"][0]["activity"]["measures"] == {"distance_m": 5200.1}
    shown = command("dead-letters", "show", number).out
    for part in ("23514", "poison", "2 of 10 (from 3)", '"key": "run-3"', '"distance_m": 5200.1'):
        assert part in shown, shown
    assert "1 of 2 rows shown" in command("dead-letters", "show", number, "--limit", "1").out
    assert '"event": "Swim"' in command("dead-letters", "show", letters[2]["id"]).out
    assert command("dead-letters", "show", 999_999).code == 3


def test_replaying(command: Command, letters: list[dict[str, Any]]) -> None:
    """By number, by a selection, or all; never by saying nothing. Exit code 1: the model does not take some of it."""
    assert command("dead-letters", "replay").code != 0
    assert command("dead-letters", "replay", "--all", "--kind", "raw").code != 0
    one = command("dead-letters", "replay", letters[0]["id"], "--json")
    assert (one.code, one.json["letters"], one.json["rows"], len(one.json["batches"])) == (0, 1, 2, 1)
    assert command("dead-letters", "replay", letters[0]["id"]).code == 3
    rest = command("dead-letters", "replay", "--all")
    assert rest.code == 1
    assert "replayed: 2 letters of 2 rows" in rest.out
    assert "kept: 1 row, " in rest.out
    left = command("dead-letters", "list", "--json").json["items"]
    assert [(item["id"], item["error_class"]) for item in left] == [(letters[2]["id"], "mapping")]
    log = command("dead-letters", "log", "--json").json["items"]
    assert [(entry["tenant"], entry["done"], entry["rows"]) for entry in log] == [
        ("b", "replayed", 1),
        ("a", "replayed", 1),
        ("a", "replayed", 2),
    ]
    assert log[0]["by"].startswith("login ")


def test_discarding(command: Command, letters: list[dict[str, Any]]) -> None:
    """With a reason, which the log keeps."""
    assert command("dead-letters", "discard", "--all").code == 2
    assert command("dead-letters", "discard", "--all", "--reason", " ").code != 0
    done = command("dead-letters", "discard", "--tenant", "a", "--error-class", "constraint", "--reason", "a test's", "--json")
    assert done.json == {"letters": 2, "rows": 3}
    assert len(command("dead-letters", "list", "--json").json["items"]) == 2
    assert "discarded: 2 letters of 2 rows" in command("dead-letters", "discard", "--all", "--reason", "the rest").out
    shown = command("dead-letters", "log").out
    assert "3 constraint" in shown and "a test's" in shown
    assert command("dead-letters", "list").out.strip() == "there are none"
