"""`set_setting`: a setting of the server, of this database or of a role.

    operation = "set_setting"
    setting = "random_page_cost"
    value = 1.1                    # a list for a setting that is one; none resets it
    scope = "system"               # or "database", "role", "all_roles"
    role = "app"                   # for the scope "role"
    in_database = false            # for the scope "role": in this database alone

A setting of the system is in effect after a reload, which is done, or after a restart, which is not: then it says so.

What is set nearer to a session counts more: the command line more than the system, then all roles, the database, the role, the role in the
database. What is hidden by such a setting is refused, and a new session is asked whether it has the value: it is rolled back if not.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, ClassVar, Final, Literal

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict, NotFound
from milepost.postgres import dict_row, load_queries, sql

__all__ = ["SetSetting"]

queries = load_queries(__package__, "set_setting.sql")

# Sources of pg_settings, each with where that is; what counts more comes later. Before the first: defaults, and the environment.
SOURCES: Final = {
    "configuration file": "in the server's configuration",
    "command line": "on the server's command line",
    "global": "for all roles (ALTER ROLE ALL)",
    "database": "for this database (ALTER DATABASE)",
    "user": "for this role (ALTER ROLE)",
    "database user": "for this role in this database (ALTER ROLE … IN DATABASE)",
    "client": "by this connection itself (its options)",
}
OF_SYSTEM: Final = "configuration file"
RELOAD_S: Final = 10.0
LOOK_S: Final = 0.05


class SetSetting(Operation, frozen=True, kw_only=True):
    """Reversible at any time: what was set in that scope before is set again, or the setting is reset."""

    kind: ClassVar[str] = "set_setting"
    locks: ClassVar[str] = "none on tables"

    setting: str
    value: str | int | float | bool | list[str] | None = None
    scope: Literal["system", "database", "role", "all_roles"] = "system"
    role: str | None = None
    in_database: bool = False

    def check(self, where: str) -> None:
        if (self.scope == "role") != (self.role is not None):
            raise self.refuse(where, '`role` goes with scope = "role", and only with it.')
        if self.in_database and self.role is None:
            raise self.refuse(where, '`in_database` goes with scope = "role".')

    def describe(self) -> str:
        whose = self.role or self.scope.replace("_", " ")
        here = " in this database" if self.in_database else ""
        return f"set {self.setting} to {'its default' if self.value is None else self.value} ({whose}{here})"

    async def validate(self, work: Work) -> None:
        found = await work.row(queries.setting, {"name": self.setting})
        if found is None:
            if "." in self.setting:
                return  # of an extension that is not loaded here
            raise NotFound(f"PostgreSQL has no setting {self.setting}.", setting=self.setting)
        if found["context"] == "internal" or (self.scope != "system" and found["context"] in ("postmaster", "sighup")):
            raise Conflict(f"{self.setting} cannot be set for a {self.scope} ({found['context']}).", setting=self.setting)
        if (hidden := self._hidden(await self._seen_anew(work))) is not None:
            raise Conflict(hidden, setting=self.setting)

    async def start(self, work: Work) -> None:
        if "before" not in work.memory:
            query = queries.of_system if self.scope == "system" else queries.of_database_or_role
            given = {"name": self.setting, "role": self.role, "in_database": self.in_database or self.scope == "database"}
            await work.remember(before=await work.value(query, given))
        loaded_at = (await self._seen_anew(work))["loaded_at"]
        await self._alter(work, self.value)
        await self._verify(work, loaded_at)

    async def roll_back(self, work: Work) -> None:
        if "before" in work.memory:
            await self._alter(work, work.memory["before"])

    async def _alter(self, work: Work, value: str | float | list[str] | None) -> None:
        whose = {
            "system": sql.SQL("SYSTEM"),
            "database": sql.SQL("DATABASE {}").format(sql.Identifier(work.target.dbname)),
            "role": sql.SQL("ROLE {}").format(sql.Identifier(self.role or "")),
            "all_roles": sql.SQL("ROLE ALL"),
        }[self.scope]
        if self.in_database:
            whose = sql.SQL("{} IN DATABASE {}").format(whose, sql.Identifier(work.target.dbname))
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

    async def _verify(self, work: Work, loaded_at: Any) -> None:
        """Raises `Conflict` if a session that begins now does not have it."""
        until = monotonic() + (RELOAD_S if self.scope == "system" else 0.0)
        while True:
            seen = await self._seen_anew(work)
            loaded = self.scope != "system" or seen["loaded_at"] != loaded_at
            hidden = self._hidden(seen)
            if loaded and hidden is None and (self.value is None or self._takes_hold(seen)):
                return
            if monotonic() > until:
                break
            await asyncio.sleep(LOOK_S)
        if not loaded:
            wrong = await work.rows(queries.wrong_lines)
            where = "".join(f"; {row['sourcefile']} line {row['sourceline']}: {row['error']}" for row in wrong)
            raise Conflict(f"PostgreSQL was asked to load its files again, and has not{where}.", setting=self.setting)
        raise Conflict(hidden or f"{self.setting} was set, and a new session has it not.", setting=self.setting)

    def _takes_hold(self, seen: dict[str, Any]) -> bool:
        """Whether it is what this scope says that counts. Of another role's session, and of what PostgreSQL does not know yet, nobody can tell."""
        known = seen["source"] is not None and seen["context"] != "postmaster"
        return not known or self._source(seen) in (None, seen["source"])

    def _hidden(self, seen: dict[str, Any]) -> str | None:
        """Why a session would not have it."""
        ours, known = self._source(seen), list(SOURCES)
        if ours is None or seen["source"] not in SOURCES or known.index(seen["source"]) <= known.index(ours):
            return None
        return f"{self.setting} is {seen['setting']} {SOURCES[seen['source']]}, which counts more than what is set {SOURCES[ours]}: change it there."

    def _source(self, seen: dict[str, Any]) -> str | None:
        """What pg_settings calls this scope, in a session of ours; None if ours has nothing of it."""
        if self.scope == "role":
            own = "database user" if self.in_database else "user"
            return own if self.role == seen["role"] else None
        return {"system": OF_SYSTEM, "database": "database", "all_roles": "global"}[self.scope]

    async def _seen_anew(self, work: Work) -> dict[str, Any]:
        async with work.target.plain() as connection:
            row = await (await connection.cursor(row_factory=dict_row).execute(queries.anew, {"name": self.setting})).fetchone()
        assert row is not None
        return row
