"""What an import will do, step by step: which sections read which files, and in what order.

Groups come before actors, members and activities, whatever their order in the map, so that what an activity
refers to is there before it. Sections of one kind that read the same file share one pass over it, row by row: a
member who joins, leaves and joins again does so in the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from milepost.errors import InvalidInput
from milepost.mapping.paths import Row, Scope
from milepost.mapping.values import compile_value

from ._types import Lookup, Map, Section, SectionKind
from .mapping import KINDS
from .reading import Bad, fingerprint_of, open_source

__all__ = ["ImportRefused", "Plan", "Step", "load_lookups", "plan_import"]


class ImportRefused(InvalidInput):
    """The map and the file do not go together."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One pass over one file. path: None where the rows stand in the map."""

    kind: SectionKind
    path: Path | None
    sections: tuple[Section, ...]
    last: bool = True  # no later step reads the file: the one that says which lines are not rows

    @property
    def name(self) -> str:
        return f"{self.kind} of {self.path.name if self.path else 'the map'}"

    def bytes(self) -> int:
        return self.path.stat().st_size if self.path else 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    steps: tuple[Step, ...]
    lookup_files: dict[str, Path]
    left_out: tuple[str, ...]  # sections that read other files than the one that was given
    fingerprint: str  # of the map and every file read


def plan_import(target: Path, whole: Map) -> Plan:
    """target: a file, or a folder where the sections' own `file` says which. Raises `ImportRefused`."""
    if not target.exists():
        raise ImportRefused(f"there is no file {target}", path=str(target))
    folder = target if target.is_dir() else target.parent
    passes: dict[tuple[SectionKind, Path | int], list[Section]] = {}
    left_out = []
    for kind in KINDS:
        for section in (section for section in whole.sections if section.kind == kind):
            if section.rows is not None:
                passes[kind, section.number] = [section]
                continue
            paths = _files(section, target, folder)
            if not paths:
                left_out.append(section.name)
            for path in paths:
                passes.setdefault((kind, path), []).append(section)
    last = {place: kind for kind, place in passes}
    steps = [
        Step(
            kind=kind,
            path=place if isinstance(place, Path) else None,
            sections=tuple(sections),
            last=last[place] == kind,
        )
        for (kind, place), sections in passes.items()
    ]
    if not any(step.path for step in steps):
        files = sorted({section.file for section in whole.sections if section.file})
        raise ImportRefused(f"{whole.name} reads {', '.join(files)}: {target.name} is none of them")
    lookup_files = {lookup.name: _lookup_file(lookup, folder) for lookup in whole.lookups.values() if lookup.file}
    paths = [step.path for step in steps if step.path] + list(lookup_files.values())
    prints = {str(path): fingerprint_of(path) for path in dict.fromkeys(paths)}
    return Plan(
        steps=tuple(steps),
        lookup_files=lookup_files,
        left_out=tuple(left_out),
        fingerprint="-".join((whole.fingerprint, *prints.values())),
    )


def _files(section: Section, target: Path, folder: Path) -> list[Path]:
    if section.file is None:
        if target.is_dir():
            raise ImportRefused(f"{section.name} does not say which file of the folder it reads (file = …)")
        return [target]
    if not target.is_dir():
        return [target] if fnmatchcase(target.name, section.file) else []
    found = sorted(path for path in folder.glob(section.file) if path.is_file())
    if not found:
        raise ImportRefused(f"{section.name} reads {section.file}, and {folder} has no such file")
    return found


def _lookup_file(lookup: Lookup, folder: Path) -> Path:
    path = folder / (lookup.file or "")
    if not path.is_file():
        raise ImportRefused(f"lookups.{lookup.name} reads {lookup.file}, and {folder} has no such file")
    return path


def load_lookups(whole: Map, plan: Plan) -> dict[str, dict[str, Any]]:
    """Every lookup as key → row (or value), in memory. Rows without a key are left out; of two with one key,
    the later.
    """
    tables: dict[str, dict[str, Any]] = {}
    for lookup in whole.lookups.values():
        if lookup.values is not None:
            tables[lookup.name] = {str(key): value for key, value in lookup.values.items()}
            continue
        scope = Scope()
        if lookup.rows is not None:
            rows: list[Row] = list(lookup.rows)
        else:
            source = open_source(plan.lookup_files[lookup.name], whole.read)
            scope.columns = None if source.columns is None else frozenset(source.columns)
            rows = [row for _, row in source if not isinstance(row, Bad)]
            source.close()
        key = compile_value(lookup.key, "text", scope, f"lookups.{lookup.name}.key", "/key")
        if scope.problems:
            raise ImportRefused("\n".join(scope.problems))
        tables[lookup.name] = {own: row for row in rows if (own := key(row)) is not None}
    return tables
