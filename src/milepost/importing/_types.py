"""The map as frozen values: what MAP.toml says, with every default filled in. Made by `mapping`, compiled by
`sections`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from milepost.errors import InvalidInput
from milepost.mapping.paths import Row

__all__ = ["Lookup", "Map", "MapError", "ReadOptions", "Section", "SectionKind", "Tables"]

SectionKind = Literal["groups", "actors", "members", "activities"]
Tables = Mapping[str, Mapping[str, Any]]  # the lookups, loaded: name -> key -> row


class MapError(InvalidInput):
    """The map has mistakes."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How files are read, where their names and first bytes do not say it."""

    format: str | None = None  # csv, jsonl or parquet; None: by the file's name
    delimiter: str | None = None  # of a CSV; None: a comma, a tab in .tsv
    quote: str = '"'
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None  # of a CSV without a line of names
    strip_nul: bool = False  # take U+0000 out of texts instead of rejecting the row


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """A table that rows are joined to by a key; held in memory."""

    name: str
    file: str | None = None
    key: Any = None
    values: Mapping[str, Any] | None = None
    rows: tuple[Row, ...] | None = None
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    kind: SectionKind
    number: int  # of its kind, from 1
    file: str | None  # a name or pattern in the folder of the file that is imported; None: that file itself
    rows: tuple[Row, ...] | None  # given in the map
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.kind}[{self.number}]"


@dataclass(frozen=True, kw_only=True)
class Map:
    name: str
    fingerprint: str  # of the text: another map is another import
    zone: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
