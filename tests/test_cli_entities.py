"""Tenants, keys, groups, models, schema, dead letters and verify from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from milepost.postgres import Database
from milepost.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]

MODEL = """
name = "small"
[groups.team]
roles.member = ["read"]
attributes.goal_m = "integer"
[verbs.run]
measures.distance_m = "integer"
[rollups.team_distance]
of = "run"
by = ["group"]
values = ["count", "sum(distance_m)"]
[goals.team_goal]
value = "team_distance.sum(distance_m)"
target = "group.goal_m"
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.toml"
    file.write_text(MODEL, encoding="utf-8")
    return file


@pytest.fixture
def tenant(command: Command, model: Path) -> str:
    """A deployment with a model and a tenant."""
    assert command("model", "apply", model).code == 0
    assert command("tenant", "create", "acme").code == 0
    return "acme"


def as_owner(url: str, statement: str) -> None:
    async def work() -> None:
        async with await Database.connect_owner(url) as owner:
            await owner.execute(statement.encode())

    asyncio.run(work())


def test_limits_of_a_tenant(command: Command, tenant: str) -> None:
    """A limit is a number, none, or the deployment's default; what is not given stays; a mistake is named by its flag."""
    shown = command("tenant", "limit", tenant, "--rate", 50, "--per-day", "none", "--json").json
    assert (shown["limits"]["rate"], shown["limits"]["per_day"], shown["sent"]["today"]) == (50, None, 0)
    shown = command("tenant", "limit", tenant, "--rate", "default", "--burst", 7, "--tenant-rate", 3, "--json").json
    assert (shown["limits"]["rate"], shown["limits"]["burst"]) == (3, 7)
    assert command("tenant", "show", tenant, "--json").json["limits"]["burst"] == 7
    assert "per month" in command("tenant", "show", tenant).out
    for words in (["--rate", "fast"], ["--per-day", "1.5"], ["--burst", "0"], []):
        wrong = command("tenant", "limit", tenant, *words)
        assert wrong.code == 2
        assert (words or ["--rate"])[0] in wrong.err
    assert command("tenant", "show", "nobody").code != 0


def test_tenants(command: Command) -> None:
    """A tenant is made once, and listed."""
    made = command("tenant", "create", "acme", "--json")
    assert made.code == 0
    assert made.json["name"] == "acme"
    assert [one["name"] for one in command("tenant", "list", "--json").json["items"]] == ["acme"]
    assert "acme" in command("tenant", "list").out
    again = command("tenant", "create", "acme")
    assert (again.code, again.err) == (3, "Error: There is a tenant 'acme' already.\n")
    assert command("tenant", "create", "Acme Inc.").code == 2


def test_keys(command: Command, tenant: str) -> None:
    """A key is printed once; later it is known by its first characters, by which it is revoked."""
    made = command("key", "create", "--tenant", tenant, "--scope", "read,write", "--name", "app", "--json").json["key"]
    (listed,) = command("key", "list", "--tenant", tenant, "--json").json["items"]
    assert made.startswith(listed["key_id"])
    assert (listed["name"], sorted(listed["scopes"]), listed["revoked_at"]) == ("app", ["read", "write"], None)
    wrong = command("key", "create", "--tenant", tenant, "--scope", "fly", "--name", "x" * 300)
    assert wrong.code == 2
    assert wrong.err.startswith("Error: --scope: 'fly' is not one of read, write, admin; --name: ")
    token = command("key", "token", listed["key_id"], "--tenant", tenant, "--actor", "user-1", "--expires-in", "60")
    assert len(token.out.strip().split(".")) == 3
    assert command("key", "token", listed["key_id"], "--tenant", tenant, "--actor", "u", "--json").json.keys() == {
        "token",
        "expires_at",
    }
    wrong = command("key", "token", listed["key_id"], "--tenant", tenant, "--actor", "u", "--expires-in", "99999999")
    assert (wrong.code, wrong.err[:21]) == (2, "Error: --expires-in: ")
    assert command("key", "revoke", listed["key_id"], "--tenant", tenant).code == 0
    assert command("key", "token", listed["key_id"], "--tenant", tenant, "--actor", "user-1").code == 3
    assert command("key", "list", "--tenant", tenant, "--json").json["items"][0]["revoked_at"] is not None
    assert command("key", "revoke", "mp_1_nothing", "--tenant", tenant).code == 3
    wrong = command("key", "create", "--tenant", tenant, "--scope", "read,fly")
    assert wrong.code == 2
    assert "'fly'" in wrong.err
    assert command("key", "create", "--tenant", "nobody", "--scope", "read").code == 3


def test_groups(command: Command, tenant: str) -> None:
    """A group is declared through the lane, changed where something is given, listed and shown."""
    words = ("--tenant", tenant, "--kind", "team", "--time-zone", "Europe/Oslo", "--attribute", "goal_m=5000")
    made = command("group", "create", "team-1", *words, "--json")
    assert made.code == 0, made.err
    assert made.json["attributes"] == {"goal_m": 5000}
    assert command("group", "create", "team-1", "--tenant", tenant, "--name", "Herons").code == 0
    shown = command("group", "show", "team-1", "--tenant", tenant, "--json").json
    assert (shown["name"], shown["time_zone"], shown["members"]) == ("Herons", "Europe/Oslo", [])
    listed = command("group", "list", "--tenant", tenant, "--kind", "team", "--json").json["items"]
    assert [one["id"] for one in listed] == ["team-1"]
    assert "Herons" in command("group", "show", "team-1", "--tenant", tenant).out
    wrong = command("group", "create", "team-2", "--tenant", tenant, "--kind", "club")
    assert wrong.code == 2
    assert wrong.err.startswith("Error: --kind: 'club' is not a kind of group")
    wrong = command(
        "group", "create", "team-2", "--tenant", tenant, "--kind", "team", "--attribute", "goal_m=x", "--time-zone", "Mars"
    )
    assert wrong.code == 2
    assert "--attribute goal_m: must be a number" in wrong.err or "--time-zone: 'Mars'" in wrong.err
    wrong = command("group", "create", "a\x01", "--tenant", tenant, "--kind", "team")
    assert wrong.err.startswith("Error: ID: must have no control characters")
    assert command("group", "create", "team-2", "--tenant", tenant, "--attribute", "goal").code == 2
    assert command("group", "show", "team-9", "--tenant", tenant).code == 3


def test_model_check(command: Command, model: Path) -> None:
    """Names each mistake as FILE:LINE: rule: message, with the nearest known word; exit code 1."""
    assert command("model", "check", model).out.strip().endswith("1 verb, 1 group kind, 1 rollup, 1 goal")
    assert command("model", "check", model, "--json").json == {"problems": []}
    model.write_text(MODEL.replace('of = "run"', 'of = "rum"'), encoding="utf-8")
    wrong = command("model", "check", model)
    assert wrong.code == 1
    assert wrong.out == f'{model}:9: unknown-verb: rollups.team_distance.of: no verb is called "rum" (did you mean run?)\n'
    answer = command("model", "check", model, "--json")
    assert (answer.code, answer.json["problems"][0]["rule"]) == (1, "unknown-verb")
    refused = command("model", "apply", model)
    assert (refused.code, refused.out, refused.err) == (1, "", wrong.out)
    assert command("model", "check", "missing.toml").code == 2


def test_model_show(command: Command, model: Path) -> None:
    """Prints the DDL and the statements; as JSON by part and name."""
    shown = command("model", "show", model)
    assert shown.code == 0
    assert "CREATE TABLE milepost.rollup_team_distance" in shown.out
    parts = command("model", "show", model, "--json").json
    assert set(parts) == {"activity", "milepost.rollup_team_distance"}


def test_model_apply(command: Command, model: Path) -> None:
    """Applies a model once; says what is filled and dropped; refuses what would falsify data."""
    assert command("model", "apply", model, "--json").json["version"] == 1
    assert "it is this model already" in command("model", "apply", model).out
    model.write_text(MODEL + '[rollups.runs]\nof = "run"\nby = ["actor"]\nvalues = ["count"]\n', encoding="utf-8")
    assert command("model", "apply", model, "--json").json["filling"] == ["rollup_runs"]
    model.write_text(MODEL, encoding="utf-8")
    assert "dropped: milepost.rollup_runs" in command("model", "apply", model).out
    model.write_text(MODEL.replace('distance_m = "integer"', 'distance_m = "decimal(2)"'), encoding="utf-8")
    assert command("model", "apply", model).code == 3


def test_schema(command: Command, database_url: str) -> None:
    """`db status` says what is missing, with exit code 1; `db migrate` does it, once."""
    url = ("--database-url", database_url)
    before = command("db", "status", *url, "--json")
    assert (before.code, before.json["version"]) == (1, 0)
    assert "milepost db migrate" in command("db", "status", *url).out
    assert command("db", "migrate", *url).out.startswith("taken: 0001_")
    assert command("db", "migrate", *url, "--json").json["taken"] == []
    assert command("db", "status", *url).code == 0


def test_a_restored_database(command: Command, template_url: str) -> None:
    """Whose queue came from another cluster: `db status` says so, with exit code 1, and `db migrate` makes it readable."""
    as_owner(template_url, "UPDATE milepost.deployment SET system_identifier = 1")
    before = command("db", "status", "--json")
    assert (before.code, before.json["foreign"], before.json["pending"]) == (1, True, [])
    assert "foreign: the queue came from another cluster (milepost db migrate)" in command("db", "status").out
    assert command("db", "migrate").out == "adopted: the queue, which came from another cluster\n"
    assert command("db", "migrate", "--json").json == {"version": SCHEMA_VERSION, "taken": [], "adopted": False}
    assert command("db", "status").code == 0


def test_lanes_that_nobody_made(command: Command, tenant: str) -> None:
    """More lanes than the database has: no tenant is made, and the answer is the command that makes the lanes."""
    refused = command("tenant", "create", "more", "--lanes", "3")
    assert refused.code == 3
    assert "has 2 lanes and MILEPOST_LANES is 3: run `milepost db migrate --lanes 3`" in refused.err
    assert "there is nothing to do" in command("db", "migrate", "--lanes", "3").out
    assert command("tenant", "create", "more", "--lanes", "3", "--json").json["lane"] in (1, 2)


def test_verify(command: Command, tenant: str, template_url: str) -> None:
    """Exit code 0 where all is right, 1 with each difference where a number is wrong."""
    clean = command("verify", "--json")
    assert (clean.code, clean.json["differences"], clean.json["items"]) == (0, 0, [])
    assert clean.json["checked"] > 0
    as_owner(
        template_url,
        "INSERT INTO milepost.group_reach (tenant_id, group_id, since, until, ancestor_id, time_zone)"
        " SELECT tenant_id, 7, '-infinity', 'infinity', 7, '' FROM milepost.tenant",
    )
    wrong = command("verify", "--json", "--tenant", tenant)
    assert (wrong.code, wrong.json["differences"]) == (1, 1)
    assert wrong.json["items"][0]["tenant"] == tenant
    said = command("verify").out
    assert "acme: reach, group number 7, time_zone none, ancestor number 7: stored " in said, said  # nobody's
    assert "1 differences" in said
    assert command("verify", "--tenant", "nobody").code == 3


def test_verify_of_goals(command: Command, tenant: str, template_url: str) -> None:
    """Each goal is one of what was checked, and one that its reader is answered wrongly is an item, with its exact numbers."""
    before = command("verify", "--json").json["checked"]
    assert command("group", "create", "team-3", "--tenant", tenant, "--kind", "team", "--attribute", "goal_m=3000").code == 0
    assert command("verify", "--json").json["checked"] == before + 1
    as_owner(
        template_url,
        "INSERT INTO milepost.rollup_team_distance (tenant_id, group_id, per, bucket, n, sum_distance_m)"
        " SELECT tenant_id, group_id, 'all', timestamp '0001-01-01', 1, 1000 FROM milepost.groups",
    )
    wrong = command("verify", "--json")
    assert wrong.code == 1
    (goal,) = [item for item in wrong.json["items"] if item["kind"] == "goal"]
    assert (goal["tenant"], goal["name"], goal["per"]) == (tenant, "team_goal", "all")
    assert goal["stored"] == {"target": 3000, "value": 1000, "percent": 33.33, "remaining": 2000}
    assert goal["recomputed"] == {"target": 3000, "value": 0, "percent": 0, "remaining": 3000}
    assert goal["named"] == {"group_id": {str(goal["keys"]["group_id"]): "team-3"}}
    said = command("verify").out
    assert (
        "acme: rollup rollup_team_distance, group team-3, all: stored n 1, sum_distance_m 1000, should be nothing\n" in said
    ), said
    goal_line = (
        "acme: goal team_goal, group team-3, all: stored target 3000, value 1000, percent 33.33, remaining 2000, "
        "should be target 3000, value 0, percent 0.00, remaining 3000\n"
    )
    assert goal_line in said, said


def test_dead_letters(command: Command, tenant: str, template_url: str) -> None:
    """Exit code 0 and nothing, or 1 and each with its error."""
    assert command("dead-letters", "list").code == 0
    as_owner(
        template_url,
        "INSERT INTO milepost.dead_letter (tenant_id, batch_id, kind, model, rows, received_at, payload, error)"
        " SELECT tenant_id, 5, 0, 1, 100, now(), '', 'it does not fit' FROM milepost.tenant",
    )
    found = command("dead-letters", "list", "--json")
    assert found.code == 1
    (one,) = found.json["items"]
    assert (one["tenant"], one["batch_id"], one["kind"], one["rows"]) == (tenant, 5, "activities", 100)
    assert "it does not fit" in command("dead-letters", "list", "--tenant", tenant).out
