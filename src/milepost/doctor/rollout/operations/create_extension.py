"""`create_extension`: an extension that the server has, made in this database.

operation = "create_extension"
extension = "pg_stat_statements"
schema = "public"                # optional
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, NotFound
from milepost.postgres import load_queries, sql

__all__ = ["CreateExtension"]

queries = load_queries(__package__, "create_extension.sql")


class CreateExtension(Operation, frozen=True, kw_only=True):
    """Reversible as long as nothing rests on it."""

    kind: ClassVar[str] = "create_extension"
    locks: ClassVar[str] = "none on tables"

    extension: str
    schema: str | None = None

    def describe(self) -> str:
        return f"create extension {self.extension}"

    async def validate(self, work: Work) -> None:
        found = await work.row(queries.extension, {"name": self.extension})
        if found is None:
            raise NotFound(f"This server has no extension {self.extension}.", extension=self.extension)
        if found["installed"] is not None:
            raise Conflict(f"The extension {self.extension} is there already.", extension=self.extension)

    async def start(self, work: Work) -> None:
        if "made" not in work.memory:
            place = sql.SQL("SCHEMA {}").format(sql.Identifier(self.schema)) if self.schema else sql.SQL("")
            statement = sql.SQL(queries.create).format(extension=sql.Identifier(self.extension), place=place)
            await work.briefly(statement, lock="share_row_exclusive", remember={"made": True})
        await work.step("made")

    async def roll_back(self, work: Work) -> None:
        if "made" in work.memory:
            statement = sql.SQL(queries.drop).format(extension=sql.Identifier(self.extension))
            await work.briefly(statement, lock="share_row_exclusive")
        await work.step("dropped")
