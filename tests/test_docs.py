"""The pages: their code runs, their models are valid, their links lead somewhere, and the reference is what the code says."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from milepost.model import parse_model
from milepost.postgres import EmbeddedServer
from processes import environment, program
from reference import PAGES, page

ROOT = Path(__file__).parent.parent
FILES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]

MARK = re.compile(r"<!-- runs: (\w+) -->")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
LANGUAGES = frozenset({*RUN, "csv", "js", "json", "sql", "text", "toml", "yaml"})
TYPED = re.compile(r"^(\$ )?(curl|git|make|milepost|pip|psql|python3?|uv) +[^\s=]", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
# A path in the text, such as `intake/load.py` or `src/milepost/web`; relative to one of these.
PATH = re.compile(r"`([a-z_.]+(?:/[a-zA-Z0-9_.-]+)+/?)`")
FOLDERS = (ROOT, ROOT / "src" / "milepost")
WITH_PATHS = ("docs/life-of-an-activity.md", "docs/where-to-change.md", "CONTRIBUTING.md", "README.md")
BLOCK_S = 120
SYSTEMS = ("audit", "classroom", "research")  # beside whose demo blocks run
ACTIVITIES = {"classroom": "4000", "research": "4000"}  # of a system's demo: so many that every number has something in it
RUNNING_LOG = """\
athlete_id,activity_id,type,started_at_utc,started_at_local,distance_m,moving_time_s,elevation_gain_m
7,1001,Run,2024-03-01T07:12:00Z,2024-03-01 08:12:00,5200.5,1710,31
"""


@dataclass(frozen=True, kw_only=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    runs: str | None  # as its mark says

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            above = text[: found.start()].rstrip("\n").rpartition("\n")[2]
            mark = MARK.fullmatch(above)
            yield Block(
                page=file.relative_to(ROOT).as_posix(),
                line=text.count("\n", 0, found.start()) + 1,
                language=found[1],
                text=found[2],
                runs=mark[1] if mark else None,
            )


ALL = list(blocks())
CODE = [block for block in ALL if block.language in RUN]


def run(block: Block, folder: Path, **settings: str) -> str:
    """Runs a block in a folder that has what pages suppose: `examples/`, a model, a map and a file for it."""
    (folder / "examples").symlink_to(ROOT / "examples")
    for name in ("model.toml", "running-log.map.toml"):
        shutil.copy(ROOT / "examples" / "fitness" / name, folder / name)
    (folder / "activities.csv.gz").write_bytes(gzip.compress(RUNNING_LOG.encode()))
    given = environment(**settings)
    given["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}"
    done = subprocess.run(
        [*RUN[block.language], block.text],
        cwd=folder,
        env=given,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BLOCK_S,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def demo(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running fitness demo: the settings with which a client or a command finds it."""
    with running("fitness", server, tmp_path_factory.mktemp("demo")) as place:
        yield place


@pytest.fixture(scope="module", params=SYSTEMS)
def system(
    request: pytest.FixtureRequest, server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """The same of each system that a page walks through, and its name."""
    with running(request.param, server, tmp_path_factory.mktemp(request.param)) as place:
        yield request.param, place


@contextmanager
def running(system: str, server: EmbeddedServer, folder: Path) -> Iterator[dict[str, str]]:
    database = f"docs_{system}"
    place = {"database_url": server.ensure_database(database), "data_dir": str(folder)}
    with program(
        "demo", "--system", system, "--port", "0", "--activities", ACTIVITIES.get(system, "500"), "--no-trickle", **place
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        found = dict(re.findall(r"^  (address|key) +(\S+)$", said, re.MULTILINE))
        yield place | {"url": found["address"], "key": found["key"]}
        process.terminate()
        process.communicate(timeout=60)
    server.drop_database(database)


def needs_curl(block: Block) -> None:
    if "curl " in block.text and shutil.which("curl") is None:
        pytest.skip("there is no curl here")


def test_every_block_says_what_it_is() -> None:
    """Each has its language, and what a reader would type into a shell is `sh` and nothing else: only that runs as a test."""
    assert [f"{block}: {block.language}" for block in ALL if block.language not in LANGUAGES] == []
    assert [str(block) for block in ALL if block.language != "sh" and TYPED.search(block.text)] == []


def test_every_block_says_how_it_runs() -> None:
    """Shell and Python blocks are marked `demo`, a system, `alone`, `dry`, or `site`: those are test_integrations_docs.py's."""
    assert CODE
    assert [str(block) for block in CODE if block.runs not in ("demo", *SYSTEMS, "alone", "dry", "site")] == []


@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in CODE if block.runs == "demo"))
def test_beside_a_demo(page: str, demo: dict[str, str], tmp_path: Path) -> None:
    """With MILEPOST_URL and MILEPOST_KEY set, a page's blocks end without an error, in their order: one builds on another."""
    run_all([block for block in CODE if block.runs == "demo" and block.page == page], tmp_path, demo)


def test_beside_a_system(system: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """The blocks marked with its name end without an error, page by page in their order."""
    name, place = system
    run_all([block for block in CODE if block.runs == name], tmp_path, place)


def run_all(blocks: Sequence[Block], folder: Path, place: dict[str, str]) -> None:
    """Each in a folder of its own."""
    for number, block in enumerate(blocks):
        needs_curl(block)
        (folder / str(number)).mkdir()
        run(block, folder / str(number), **place)


@pytest.mark.parametrize("block", [block for block in CODE if block.runs == "alone"], ids=str)
def test_from_nothing(block: Block, database_url: str, tmp_path: Path) -> None:
    """On an empty database, it ends without an error."""
    needs_curl(block)
    run(block, tmp_path, database_url=database_url, data_dir=str(tmp_path / "data"))


@pytest.mark.parametrize("block", [block for block in CODE if block.runs == "dry"], ids=str)
def test_what_make_would_do(block: Block) -> None:
    """Each line is a call of make that exists."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    for line in block.text.splitlines():
        command = line.partition("#")[0].split()
        assert command[0] == "make"
        subprocess.run([*command, "--dry-run"], cwd=ROOT, check=True, capture_output=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("block", [block for block in ALL if block.page == "README.md" and block.language == "toml"], ids=str)
def test_the_readmes_model(block: Block) -> None:
    """Is one that milepost takes."""
    parse_model(block.text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(file: Path) -> None:
    """Every relative link names a file that is there."""
    links = LINK.findall(re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL))
    assert [link for link in links if not (file.parent / link).exists()] == []


@pytest.mark.parametrize("name", WITH_PATHS)
def test_paths_are_there(name: str) -> None:
    """Every file or folder that a page names exists."""
    paths = PATH.findall((ROOT / name).read_text(encoding="utf-8"))
    assert [path for path in paths if not any((folder / path).exists() for folder in FOLDERS)] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    """Every setting, command and metric, as it is now; `make docs` writes the tables."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page(name)


def test_decisions_are_dated() -> None:
    """Each page's name begins with its day, and so does what it measures with."""
    for file in (ROOT / "docs" / "decisions").iterdir():
        if file.suffix in (".md", ".sql", ".py"):
            assert re.match(r"\d{4}-\d\d-\d\d-[a-z-]+\.", file.name)
            assert file.with_suffix(".md").exists()
