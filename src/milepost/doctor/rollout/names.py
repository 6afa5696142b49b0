"""Names of tables and what belongs to them: as a file or a finding writes them, and as the catalogue has them.

`public.orders`, `"odd.name"."Orders"` and `Orders` are read part by part: a part in double quotes is what is between them, any other is
taken as written, without folding to lower case, since findings write what the catalogue has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from milepost.errors import InvalidInput
from milepost.postgres import sql

__all__ = ["NAME_BYTES_MAX", "Table", "fitted", "quoted", "split_name"]

NAME_BYTES_MAX = 63  # PostgreSQL cuts longer ones off, without an error
PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as the catalogue has it. kind: `r` plain, `p` partitioned, `m` a materialized view."""

    oid: int
    schema: str
    name: str
    kind: str
    rows: float
    columns: tuple[str, ...]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def split_name(name: str) -> tuple[str | None, str]:
    """→ schema (None if there is none) and name. Raises `InvalidInput`."""
    parts: list[str] = []
    at = 0
    while found := PART.match(name, at):
        parts.append(found[1].replace('""', '"') if found[1] else found[2].strip())
        at = found.end()
        if at == len(name):
            break
        if name[at] != ".":
            break
        at += 1
    if at != len(name) or not 1 <= len(parts) <= 2 or not all(parts):
        raise InvalidInput(f"{name!r} is not the name of a table: write schema.table.", name=name)
    return (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def quoted(part: str) -> str:
    """A part of a name, in quotes where SQL wants them (keywords aside)."""
    return part if re.fullmatch(r"[a-z_][a-z0-9_$]*", part) else '"' + part.replace('"', '""') + '"'


def fitted(name: str) -> str:
    """`name`, shortened to what PostgreSQL keeps; by a digest, so that two long ones stay two."""
    if len(name.encode()) <= NAME_BYTES_MAX:
        return name
    digest = blake2b(name.encode(), digest_size=4).hexdigest()
    cut = name.encode()[: NAME_BYTES_MAX - len(digest) - 1].decode(errors="ignore")
    return f"{cut}_{digest}"
