"""The doctor's report: for programs, for a terminal, as a page and as Markdown; and the command that makes it."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from milepost.doctor import SEVERITIES, Cure, Finding, Target
from milepost.doctor.examine import examine
from milepost.doctor.report import Answer, schema
from milepost.doctor.score import score_of
from milepost.postgres import Database

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
async def shop(database_url: str) -> str:
    """A database with one fault whose name would be markup."""
    async with await Database.connect_owner(database_url) as connection:
        for statement in (
            'CREATE TABLE "<b>parent" (id int PRIMARY KEY)',
            'CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES "<b>parent")',
            "INSERT INTO child SELECT generate_series(1, 11000)",
            "ANALYZE child",
        ):
            await connection.execute(statement.encode())
    return database_url


def test_json_has_the_published_schema(command: Command, shop: str) -> None:
    """One object, which the published schema describes; a finding has evidence, and a cure that a rollout applies."""
    answer = command("doctor", "check", shop, "--json")
    assert answer.code == 0
    read = msgspec.json.decode(answer.out, type=Answer)
    (found,) = [one for one in read.findings if one.check == "missing_foreign_key_index"]
    assert found.object == "public.child.child_p_fkey"
    assert found.cure.operation == {"operation": "create_index", "table": "public.child", "columns": ["p"]}
    assert json.loads((DOCS / "doctor-report.schema.json").read_text()) == schema()


async def test_counters_are_no_older_than_their_database(database_url: str) -> None:
    """Rates of one that was made today are not those of all the time that its cluster has counted; whoever may not ask is told those."""
    target = await Target.open(database_url)
    async with await Database.connect_owner(database_url) as owner:
        row = await (
            await owner.execute(
                b"SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
            )
        ).fetchone()
        assert row is not None
        file = Path(row[0]) / "base" / str(row[1]) / "PG_VERSION"

        async def counted_s(made_at: float) -> float:
            os.utime(file, (made_at, made_at))
            return float((await examine(target, checks=())).facts["stats_age_s"])

        of_cluster, of_database = await counted_s(time.time() - 1e9), await counted_s(time.time() + 60)
        assert of_cluster > of_database == 1.0
        await owner.execute(b"CREATE ROLE nobody_much LOGIN")
        try:
            target = await Target.open(database_url.replace("postgres@", "nobody_much@"))
            assert not target.superuser and await counted_s(time.time()) >= of_cluster
        finally:
            await owner.execute(b"DROP ROLE nobody_much")


def test_fail_on(command: Command, shop: str) -> None:
    """The exit code is 1 if something that bad or worse was found, and 0 if only less was."""
    found = {one["severity"] for one in command("doctor", "check", shop, "--json").json["findings"]}
    assert "notice" in found
    for number, severity in enumerate(SEVERITIES):
        expected = 1 if found & set(SEVERITIES[: number + 1]) else 0
        assert command("doctor", "check", shop, "--fail-on", severity).code == expected


def test_a_limit_that_there_is_not(command: Command, shop: str) -> None:
    """It is refused, with the nearest one."""
    answer = command("doctor", "check", shop, "--limit", "unused_index.byte_min=3")
    assert answer.code == 2 and "unused_index.bytes_min" in answer.err
    assert command("doctor", "check", shop, "--limit", "unused_index.bytes_min=x").code == 2


def test_a_terminal_is_told_the_score_and_its_sum(command: Command, shop: str) -> None:
    """And each finding with its cure."""
    out = command("doctor", "check", shop).out
    assert re.match(r"\d+ of 100", out)
    assert "missing_foreign_key_index" in out and "CREATE INDEX CONCURRENTLY ON public.child (p);" in " ".join(out.split())


def test_lines_end_with_what_is_said(command: Command, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow, no line is filled up, and each stays indented."""
    monkeypatch.setenv("COLUMNS", "60")
    lines = command("doctor", "check", shop).out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert max(map(len, lines)) <= 60 and sum(line.startswith("  ") for line in lines) > len(lines) / 2


def test_a_page_and_markdown(command: Command, shop: str, tmp_path: Path) -> None:
    """The page asks for nothing else, and what a database calls its tables is text in it; Markdown has the statements."""
    page, document = tmp_path / "r.html", tmp_path / "r.md"
    command("doctor", "check", shop, "--html", page, "--markdown", document)
    text = page.read_text()
    assert "<b>parent" not in text and "&lt;b&gt;parent" in text
    assert "<svg" in text and not re.search(r"(src|href)=|<script|@import|url\(", text)
    assert "```sql\nCREATE INDEX CONCURRENTLY ON public.child (p);\n```" in document.read_text()


def finding(check: str, severity: Any, about: str) -> Finding:
    return Finding(
        check=check, severity=severity, object=about, detail="It is so.", cure=Cure(text="Do.", by_hand="Nobody can.")
    )


def test_the_score_is_a_sum() -> None:
    """15, 5 and 1 points, at most 30 for a check; the arithmetic is said."""
    few = [finding("a", "critical", "x"), finding("b", "warning", "x"), finding("b", "notice", "y")]
    assert score_of(few).value == 100 - 15 - 6
    assert score_of(few).said == "100 − 15 a − 6 b = 79"
    many = [finding("c", "warning", str(number)) for number in range(100)]
    assert score_of(many).value == 70
    assert "at most 30" in score_of(many).shares[0].said
    assert score_of([]).value == 100


def test_an_identity_is_of_the_check_and_the_object() -> None:
    """Figures do not change it."""
    assert finding("a", "critical", "x").id == finding("a", "notice", "x").id != finding("a", "notice", "y").id
