"""`set_setting`: a setting of the server, of this database or of a role.

    operation = "set_setting"
    setting = "random_page_cost"
    value = 1.1                    # a list for a setting that is one; none resets it
    scope = "system"               # or "database", "role"
    role = "app"                   # for the scope "role"

A setting of the system is in effect after a reload, which is done, or after a restart, which is not: then it says so.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, NotFound
from milepost.postgres import load_queries, sql

__all__ = ["SetSetting"]

queries = load_queries(__package__, "set_setting.sql")


class SetSetting(Operation, frozen=True, kw_only=True):
    """Reversible at any time: what was set in that scope before is set again, or the setting is reset."""

    kind: ClassVar[str] = "set_setting"
    locks: ClassVar[str] = "none on tables"

    setting: str
    value: str | int | float | bool | list[str] | None = None
    scope: Literal["system", "database", "role"] = "system"
    role: str | None = None

    def check(self, where: str) -> None:
        if (self.scope == "role") != (self.role is not None):
            raise self.refuse(where, '`role` goes with scope = "role", and only with it.')

    def describe(self) -> str:
        return f"set {self.setting} to {'its default' if self.value is None else self.value} ({self.role or self.scope})"

    async def validate(self, work: Work) -> None:
        found = await work.row(queries.setting, {"name": self.setting})
        if found is None:
            if "." in self.setting:
                return  # of an extension that is not loaded here
            raise NotFound(f"PostgreSQL has no setting {self.setting}.", setting=self.setting)
        if found["context"] == "internal" or (self.scope != "system" and found["context"] in ("postmaster", "sighup")):
            raise Conflict(f"{self.setting} cannot be set for a {self.scope} ({found['context']}).", setting=self.setting)

    async def start(self, work: Work) -> None:
        if "before" not in work.memory:
            query = queries.of_system if self.scope == "system" else queries.of_database_or_role
            given = {"name": self.setting, "scope": self.scope, "role": self.role}
            await work.remember(before=await work.value(query, given))
        await self._alter(work, self.value)

    async def roll_back(self, work: Work) -> None:
        if "before" in work.memory:
            await self._alter(work, work.memory["before"])

    async def _alter(self, work: Work, value: str | float | list[str] | None) -> None:
        whose = {
            "system": sql.SQL("SYSTEM"),
            "database": sql.SQL("DATABASE {}").format(sql.Identifier(work.target.dbname)),
            "role": sql.SQL("ROLE {}").format(sql.Identifier(self.role or "")),
        }[self.scope]
        name = sql.SQL(".").join(sql.Identifier(part) for part in self.setting.split("."))
        if value is None:
            what = sql.SQL("RESET {}").format(name)
        else:
            values = value if isinstance(value, list) else [str(value).lower() if isinstance(value, bool) else str(value)]
            what = sql.SQL("SET {} = {}").format(name, sql.SQL(", ").join(sql.Literal(one) for one in values))
        await work.alone(sql.SQL(queries.alter).format(whose=whose, what=what))
        await work.step("written")
        if self.scope != "system":
            work.say(f"{self.setting}: in effect in sessions that begin from now on")
            return
        await work.rows(queries.reload)
        found = await work.row(queries.setting, {"name": self.setting})
        if found is not None and found["context"] == "postmaster":
            work.say(f"{self.setting}: in effect after a restart of PostgreSQL, which is yours to do")
