"""The command line as a whole: fast to start, one sentence for an error, exit codes that scripts can rely on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import TYPE_CHECKING

import click
import pytest

from effort import long_only
from milepost.cli._commands import COMMANDS
from milepost.cli._commands import program as root
from milepost.cli._options import WHOLE
from milepost.settings import described
from processes import environment, program

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]

CPU_S_MAX = 0.2
HEAVY = {"asyncio", "psycopg", "litestar", "structlog", "prometheus_client", "rich", "msgspec", "milepost.settings"}


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of every command that does something."""
    context = click.Context(root)
    for name in COMMANDS:
        found = root.get_command(context, name)
        if isinstance(found, click.Group):
            yield from ((name, inner) for inner in found.list_commands(context))
        else:
            yield (name,)


def cpu_s_of(*words: str) -> float:
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "milepost", *words], check=True, stdout=subprocess.DEVNULL, env=environment())
    after = getrusage(RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


@long_only
def test_it_starts_fast() -> None:
    """`milepost --version` costs less than 200 ms (of CPU, since the machine may be busy)."""
    assert min(cpu_s_of("--version") for _ in range(3)) < CPU_S_MAX


def test_it_loads_nothing_that_it_does_not_need() -> None:
    """The list of commands is shown without importing any of them, the driver, or the server."""
    code = "import sys; from milepost.cli import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment())
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_command_explains_itself(command: Command, words: tuple[str, ...]) -> None:
    """`--help` works and says what the command does."""
    answer = command(*words, "--help")
    assert answer.code == 0
    assert answer.out.startswith("Usage: milepost " + " ".join(words))
    assert len(answer.out.splitlines()) > 4


def test_a_list_of_commands_leaves_none_out(command: Command) -> None:
    """Where the line of a group names its commands, it names all; a command's line in its group ends with a sentence or an ellipsis."""
    context = click.Context(root)
    for name, (_, _, line) in COMMANDS.items():
        found = root.get_command(context, name)
        if not isinstance(found, click.Group):
            continue
        named = set(re.findall(r"[\w-]+", line.partition(":")[2]))
        assert not named or set(found.list_commands(context)) <= named, line
        for inner in found.list_commands(context):
            made = found.get_command(context, inner)
            assert made is not None
            shown = made.get_short_help_str()
            assert shown.count("(") == shown.count(")") or shown.endswith("..."), shown


def test_every_setting_is_a_flag(command: Command) -> None:
    """`serve` takes each setting as a flag, and shows its environment twin."""
    shown = " ".join(command("serve", "--help").out.split())
    for setting in described():
        assert setting.name in WHOLE
        assert setting.flag in shown
        assert setting.variable in shown


def test_an_unknown_command_gets_the_nearest_one(command: Command) -> None:
    """Exit code 2, and the word that may have been meant."""
    answer = command("tenent", "list")
    assert answer.code == 2
    assert "Did you mean tenant?" in answer.err


def test_an_unknown_flag_is_wrong_use(command: Command) -> None:
    """Exit code 2."""
    assert command("tenant", "list", "--jsn").code == 2


def test_a_wrong_setting_is_wrong_use(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, in a sentence that names the setting as it was written; from flag, variable and file."""
    answer = command("serve", "--port", "many")
    assert (answer.code, answer.err) == (2, "Error: --port: 'many' is not a whole number.\n")
    Path("milepost.toml").write_text("prot = 1\n", encoding="utf-8")
    answer = command("tenant", "list")
    assert (answer.code, answer.err) == (2, "Error: milepost.toml: prot: there is no such setting. Did you mean port?\n")
    answer = command("tenant", "list", "--config", "other.toml")
    assert answer.code == 2
    Path("milepost.toml").unlink()
    monkeypatch.setenv("MILEPOST_LOG_LEVEL", "loud")
    assert command("tenant", "list").code == 2


def test_what_the_system_could_not_do(command: Command) -> None:
    """Exit code 3, and one sentence on one line."""
    answer = command("tenant", "list", "--database-url", "postgresql://127.0.0.1:1/nobody")
    assert answer.code == 3
    assert answer.out == ""
    assert answer.err.startswith("Error: ")
    assert answer.err.count("\n") == 1


def test_debug_shows_where(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """MILEPOST_LOG_LEVEL=debug adds the traceback."""
    monkeypatch.setenv("MILEPOST_LOG_LEVEL", "debug")
    assert "Traceback" in command("key", "list", "--tenant", "nobody").err
    monkeypatch.setenv("MILEPOST_LOG_LEVEL", "error")
    assert "Traceback" not in command("key", "list", "--tenant", "nobody").err


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """`milepost … | head` ends without a complaint."""
    model = tmp_path / "model.toml"
    model.write_text('name = "one"\n[verbs.run]\n' + "".join(f"measures.m{n} = 'integer'\n" for n in range(400)), "utf-8")
    running = program("model", "show", model)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    complaint = running.stderr.read()
    running.stderr.close()
    running.wait()
    assert complaint == ""
