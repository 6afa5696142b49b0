"""The house's rules, as data: who may import whom, what nothing is called, where SQL lives, and that nothing is left lying."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from milepost.cli._commands import COMMANDS
from milepost.cli.doctor import COMMANDS as DOCTOR_COMMANDS

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "milepost"

# An import goes to the same or a lower layer. Within layer 3 it goes only downward in this list: to a later line, never to the
# same one, whose packages are siblings.
LAYERS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (
        1,
        (
            "_setting_values",
            "activity",
            "background",
            "client",
            "durable_file",
            "errors",
            "faults",
            "folder",
            "limits",
            "mapping",
            "model",
            "service",
            "settings",
            "telemetry",
        ),
    ),
    (2, ("postgres", "schema")),
    (3, ("intake",)),
    (3, ("boards", "feeds", "search")),
    (3, ("rollups",)),
    (3, ("storage",)),
    (3, ("cache", "live")),
    (3, ("access",)),
    (4, ("doctor", "importing", "jobs", "monitor")),
    (5, ("__main__", "bench", "cli", "demo", "ui", "web")),
)
# Stricter than their layer.
ONLY: dict[str, frozenset[str]] = {
    "doctor": frozenset(LAYERS[0][1]) | {"postgres", "doctor"},
    # `pip install milepost` is the client: it has none of the server's dependencies.
    "": frozenset({"client"}),
    "client": frozenset({"durable_file", "errors", "folder"}),
    "integrations": frozenset({"client", "errors"}),
}
DRIVER = {"psycopg": "postgres", "psycopg_pool": "postgres"}

BANNED_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "misc", "base", "core", "stuff"})

SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|TRUNCATE|GRANT|COPY)\s+\S")
# Where SQL is made, or is about the session and not about data.
SQL_IN_STRINGS = {
    "client/_spool_file.py": "SQLite's, in a file of the app's own",
    "intake/_spill_file.py": "SQLite's, in a file of the process's own",
    "schema": "makes tables, and compiles SQL from the model",
    "postgres": "sessions, databases and locks",
    "doctor/rollout/operations/_triggers.py": "rewrites the definition that PostgreSQL prints",
    "doctor/rollout/operations/narrow_trigger.py": "likewise",
    "doctor/advisor/index.py": "writes an index's definition",
    "access/_put_group.py": "asks PostgreSQL whether it knows a time zone",
    "doctor/checks": "statements of cures, for a person to run",
    "importing/reading.py": "DuckDB's, which reads Parquet",
    "storage/_parquet.py": "DuckDB's, which reads and writes Parquet",
    "intake/derive.py": "empties temp tables that are named by the model",
    "doctor/plans/_estimates.py": "statements of cures, for a person to run",
    "doctor/plans/_filters.py": "likewise",
    "doctor/plans/_index_cure.py": "likewise",
    "doctor/plans/_rows.py": "likewise",
    "doctor/plans/_rules.py": "likewise",
    "doctor/triggers/verdict.py": "likewise",
}
# Read by other means than `load_queries`.
SQL_READ_OTHERWISE = re.compile(r"schema/(schema\.sql|migrations/.*)|bench/workloads/.*")


def modules() -> dict[str, Path]:
    """Every module by its name within the package: `intake.load`; the package itself is ``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(name: str) -> Iterator[str]:
    """What a module imports, by full names; of `from a import b` both `a` and `a.b`, since b may be a module."""
    path = MODULES[name]
    package = ["milepost", *name.split(".")] if name else ["milepost"]
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*above, *([node.module] if node.module else [])])
            yield target
            yield from (f"{target}.{one.name}" for one in node.names)


def own_imports(name: str) -> set[str]:
    """What it imports of milepost, as names within the package."""
    inside = {one.removeprefix("milepost").removeprefix(".") for one in imports(name) if one.split(".")[0] == "milepost"}
    return {one for one in inside if one in MODULES}


def top(name: str) -> str:
    return name.split(".")[0]


def place(package: str) -> tuple[int, int]:
    """The layer, and the line within the list."""
    for line, (layer, packages) in enumerate(LAYERS):
        if package in packages:
            return layer, line
    raise AssertionError(f"milepost.{package} has no layer: give it one in this file and in the design")


def allowed(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    if importer in ONLY:
        return imported in ONLY[importer]
    (layer, line), (other_layer, other_line) = place(importer), place(imported)
    if layer == other_layer == 3:
        return other_line > line
    return other_layer <= layer


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_go_downward(name: str) -> None:
    """No module imports from a layer above its own."""
    upward = [one for one in own_imports(name) if one and not allowed(top(name), top(one))]
    assert not upward, f"milepost.{name} imports {upward}"


def test_the_package_itself_is_light() -> None:
    """`import milepost` imports at most the client."""
    assert {top(one) for one in own_imports("") if one} <= ONLY[""]


def test_one_package_knows_the_driver() -> None:
    """psycopg is imported by milepost.postgres alone."""
    for name in MODULES:
        for one in imports(name):
            owner = DRIVER.get(one.split(".")[0])
            assert owner in (None, top(name)), f"milepost.{name} imports {one}"


def test_no_name_says_nothing() -> None:
    """A package is a responsibility: none is called utils, helpers, common, manager, misc, base or core."""
    files = [path for folder in ("src", "tests", "examples", "docs") for path in (ROOT / folder).rglob("*")]
    empty = [str(path) for path in files if path.stem.strip("_").lower() in BANNED_NAMES and path.suffix != ".pyc"]
    assert not empty


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is(name: str) -> None:
    """It begins with a docstring; a public one lists what is public."""
    found = tree(MODULES[name])
    assert ast.get_docstring(found), f"milepost.{name} has no docstring"
    named = {target.id for node in found.body for target in targets(node) if isinstance(target, ast.Name)}
    if MODULES[name].name != "__init__.py" and not name.rpartition(".")[2].startswith("_"):
        assert "__all__" in named, f"milepost.{name} has no __all__"


def targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


@pytest.mark.parametrize("name", MODULES)
def test_sql_lives_in_sql_files(name: str) -> None:
    """No statement stands in a string, except where SQL is compiled."""
    relative = MODULES[name].relative_to(PACKAGE).as_posix()
    if any(relative == one or relative.startswith(f"{one}/") for one in SQL_IN_STRINGS):
        return
    found = tree(MODULES[name])
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(found)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(found):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
        assert not (isinstance(text, str) and SQL.match(text)), f"{relative}:{node.lineno}: {text!r}"  # type: ignore[attr-defined]


def test_every_module_is_used() -> None:
    """Each is imported by another one, or is a command."""
    used = {"", "__main__", "cli", "client", "intake.within"} | {
        f"cli.{module}" for module, _, _ in (*COMMANDS.values(), *DOCTOR_COMMANDS.values())
    }
    # What an app imports, and what Django finds by its place.
    used |= {name for name in MODULES if top(name) == "integrations" and not name.rpartition(".")[2].startswith("_")}
    for name in MODULES:
        used |= own_imports(name) - {name}
    # A package is used if something in it is.
    used |= {".".join(one.split(".")[:depth]) for one in used for depth in range(1, one.count(".") + 1)}
    assert not sorted(set(MODULES) - used)


def test_every_sql_file_is_loaded_and_every_query_run() -> None:
    """A query is named by the package whose folder it lies in."""
    dead = []
    for path in sorted(PACKAGE.rglob("*.sql")):
        relative = path.relative_to(PACKAGE).as_posix()
        if SQL_READ_OTHERWISE.fullmatch(relative):
            continue
        code = "\n".join(file.read_text(encoding="utf-8") for file in path.parent.glob("*.py"))
        if f'"{path.name}"' not in code:
            dead.append(relative)
        named = re.findall(r"^-- name: (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        dead += [f"{relative}: {query}" for query in named if not re.search(rf"\.{query}\b|[\"']{query}[\"']", code)]
    assert not dead


def test_the_demo_has_the_examples_models() -> None:
    """There is one copy of each."""
    for file in sorted((PACKAGE / "demo" / "models").iterdir()):
        assert file.resolve() == (ROOT / "examples" / file.stem / "model.toml").resolve()
