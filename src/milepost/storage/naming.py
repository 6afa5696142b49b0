"""Which activities name which files: written in the transaction that writes the activity, so that a file is kept from the moment it is named.

A load names the files of new activities in one statement, whatever their number; a correction looks first whether what it names may be named.
What an activity names stays when it is archived, and goes when it is retracted or removed (`milepost.storage.content`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from milepost.errors import FieldError, InvalidInput
from milepost.postgres import Connection, load_queries

__all__ = ["NAME", "name_anew", "named_values", "require_nameable"]

_queries = load_queries(__package__, "naming.sql")

NAME = _queries.name  # of a load, in its pipeline: → how many files are not there


def named_values(named: Sequence[tuple[UUID, str, int, UUID]]) -> dict[str, Any]:
    """The parameters of `NAME`, without the tenant: of id, name, place and file."""
    return {
        "ids": [one[0] for one in named],
        "names": [one[1] for one in named],
        "places": [one[2] for one in named],
        "file_ids": [one[3] for one in named],
    }


async def require_nameable(conn: Connection, tenant_id: int, id: UUID, verb: str, named: Mapping[str, Sequence[UUID]]) -> None:
    """That a corrected activity may name these. id: its current one. Raises `InvalidInput`."""
    asked = {"tenant_id": tenant_id, "id": id, "verb": verb, "file_ids": [file for files in named.values() for file in files]}
    if not asked["file_ids"]:
        return
    known = set(await (await conn.execute(_queries.nameable, asked)).fetchall())
    wrong = [
        FieldError(f"/files/{name}/{place}", f"is not a complete file for {verb}.{name}")
        for name, files in named.items()
        for place, file in enumerate(files)
        if (file, name) not in known
    ]
    if wrong:
        raise InvalidInput("The activity would not be valid.", errors=tuple(wrong))


async def name_anew(
    conn: Connection,
    tenant_id: int,
    id: UUID,
    named: Mapping[str, Sequence[UUID]],
    *,
    declared: Collection[str],
    versions: bool,
) -> None:
    """A corrected activity names these, and no others of the declared names. versions: what it named before is kept for its versions."""
    rows = [(name, place, file) for name, files in named.items() for place, file in enumerate(files)]
    values = {"tenant_id": tenant_id, "id": id, "file_ids": [file for _, _, file in rows]}
    await conn.execute(_queries.unname, {**values, "declared": list(declared), "versions": versions})
    if rows:
        places = {"names": [name for name, _, _ in rows], "places": [place for _, place, _ in rows]}
        await conn.execute(_queries.name_anew, {**values, **places})
