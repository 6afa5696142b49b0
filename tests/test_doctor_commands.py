"""`milepost doctor views`, `settings`, `watch` and `capacity`, as a person runs them."""

from __future__ import annotations

import re
import shlex
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fix_postgres import in_own_loop
from milepost.cli._doctor_explain import explain
from milepost.doctor.checks import CHECKS
from milepost.postgres import Database

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]


def asked(url: str, *statements: str) -> list[Any]:
    """The rows of the last one."""

    async def ask() -> list[Any]:
        async with await Database.connect_owner(url) as connection:
            for statement in statements:
                cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    return in_own_loop(ask)


def test_views_come_and_go(command: Command, database_url: str) -> None:
    """They can be read, are safe to install twice, and go without a trace."""
    asked(database_url, "CREATE EXTENSION pg_stat_statements", "CREATE TABLE t (id int PRIMARY KEY)", "SELECT count(*) FROM t")
    assert command("doctor", "views", "install", database_url).code == 0
    names = command("doctor", "views", "install", database_url).out.split()
    assert names == [f"milepost_doctor.{name}" for name in ("slow_queries", "index_usage_stats", "table_performance_stats")]
    for name in names:
        assert asked(database_url, f"SELECT * FROM {name}")
    for _ in range(2):
        assert command("doctor", "views", "remove", database_url).code == 0
    assert asked(database_url, "SELECT to_regnamespace('milepost_doctor') IS NULL") == [(True,)]


def test_a_configuration_is_one_that_postgresql_takes(command: Command, database_url: str) -> None:
    """Every line has a reason above it, is for the machine that was named, and is a setting and a value that the server accepts."""
    text = command("doctor", "settings", database_url, "--memory", "64GB", "--cores", "16", "--disk", "ssd").out
    assert "shared_buffers = '16384MB'" in text and "ALTER ROLE app SET statement_timeout" in text
    lines = text.splitlines()
    set_lines = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    assert len(set_lines) >= 3 and all(lines[number - 1].startswith("# ") for number in set_lines)
    for number in set_lines:
        found = re.match(r"(\w+) = '(.*?)'", lines[number])
        assert found
        asked(database_url, f"ALTER SYSTEM SET {found[1]} = '{found[2]}'", f"ALTER SYSTEM RESET {found[1]}")


@pytest.mark.parametrize("name", ["critical_statement", "slow_statement", "degraded_statement"])
def test_a_command_that_is_printed_can_be_pasted(name: str) -> None:
    """An id of pg_stat_statements is often negative, and no option."""
    (check,) = (one for one in CHECKS if one.name == name)
    row: dict[str, Any] = {"id": "-2116678868886786021", "query": "SELECT 1", "calls": 9_000, "total_ms": 9e6, "mean_ms": 1e3}
    row |= {"per_min": 9.0, "part": 0.5, "rows_per_call": 1.0, "read_part": 0.0}
    seen: Any = SimpleNamespace(
        limits={name: limit.value for name, limit in check.limits.items()},
        since={row["id"]: {"calls": 100, "total_ms": 100.0}},
        finding=lambda about, severity, detail, cure, evidence: cure,
    )
    (cure,) = check.judge([row], seen)
    (words,) = re.findall("`milepost doctor explain ([^`]+)`", str(getattr(cure, "text", "")))
    assert explain.make_context("explain", shlex.split(words)).params["statement"] == row["id"]


def test_watch_and_capacity(command: Command, database_url: str) -> None:
    """Two looks: what stands is not told again; capacity says that two looks are too few."""
    told = command("doctor", "watch", database_url, "--looks", "2", "--every", "1").out
    first, second = re.findall(r"^\d{4}-.*?(?=^\d{4}-|\Z)", told, re.MULTILINE | re.DOTALL)
    assert "new: critical safety_settings fsync" in first and "new:" not in second and "standing" in second
    assert "too few" in command("doctor", "capacity", database_url).out
    assert command("doctor", "capacity", database_url, "--json").json == {"looks": 2, "forecasts": []}
