"""How members are shown: to all, masked, or hidden; and to whom a masked one is shown all the same.

`show_member` is a command of the tenant's lane. Who is hidden takes no rank, and those below come up; what counts goes on being counted, so
showing it again gives it the place that it would have. Who is masked keeps its rank, which is the same for everyone; who it is, is
told to itself, to those who may read a group that it belongs to now, and to keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from milepost.access.actors import actor_ids
from milepost.access.groups import group_ids
from milepost.errors import FieldError, InvalidInput, NotFound, unknown_fields
from milepost.model import Model
from milepost.postgres import Connection, load_queries
from milepost.rollups.read import declared

__all__ = ["SHOWN", "Shown", "check_show", "put_shown"]

_queries = load_queries(__package__, "members.sql")

SHOWN = ("all", "masked", "hidden")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """number: of the member. hidden: whether it takes no rank from now on."""

    board: str
    member: str
    number: int
    shown: str

    @property
    def hidden(self) -> bool:
        return self.shown == "hidden"


def check_show(command: Mapping[str, Any], model: Model) -> None:
    """Whether a command is well formed. Raises `NotFound` for a board that the model does not declare, `InvalidInput`."""
    declared(model.boards, command["board"], "board")
    faults = unknown_fields(command, ("do", "board", "member", "shown"))
    if command.get("shown") not in SHOWN:
        faults.append(FieldError("/shown", f"is one of {', '.join(SHOWN)}"))
    if faults:
        raise InvalidInput(errors=tuple(faults))


async def put_shown(conn: Connection, tenant_id: int, model: Model, command: Mapping[str, Any]) -> Shown:
    """Writes how the member is shown from now on; its rows are changed by who calls. Raises as `check_show`, and `NotFound`."""
    check_show(command, model)
    board = model.boards[command["board"]]
    look = actor_ids if board.rank == "actor" else group_ids
    number = (await look(conn, tenant_id, [command["member"]])).get(command["member"])
    if number is None:
        raise NotFound(f"There is no {board.rank} {command['member']!r}.")
    values = {"tenant_id": tenant_id, "board": board.name, "member_id": number, "shown": command["shown"]}
    await conn.execute(_queries.show_as_all if command["shown"] == "all" else _queries.show_as, values)
    return Shown(board=board.name, member=command["member"], number=number, shown=command["shown"])
