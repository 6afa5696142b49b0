"""Commands that a message of another standard became (`milepost.intake.mapped`): done once, and never lost.

`{"do": "mapped", "via": "segment", "key": …, "message": {…}, "commands": […]}`. Nobody waits for their answer, and SDKs retry
for hours: so what was done is remembered in the ledger under the message's key, a late retry cannot set an actor back to what
was said of it long ago, and a message that the stored state refuses (a role that the group's kind has not) becomes a dead
letter in the transaction that refused it.

Attributes are merged into those there are: an `identify` says what it knows of somebody, not all that is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from milepost.access.actors import get_actor
from milepost.access.groups import get_group
from milepost.activity import SMALLEST_ID, key_hash
from milepost.errors import NotFound
from milepost.intake.dead_letters import set_aside_raw
from milepost.intake.fault import Fault
from milepost.postgres import Connection, load_queries

__all__ = ["Once", "kept_as_letter", "merged"]

_queries = load_queries(__package__, "commands_once.sql")
_encode = msgspec.json.Encoder(decimal_format="number").encode

Command = dict[str, Any]
Answer = dict[str, Any]


class Once:
    """What was done before of some messages, and what is done now. `look` first, `remember` at the end of the transaction."""

    def __init__(self, conn: Connection, tenant_id: int) -> None:
        self._conn = conn
        self._tenant_id = tenant_id
        self._known: set[bytes] = set()
        self._done: list[bytes] = []

    async def look(self, commands: Sequence[Command]) -> None:
        hashes = [found for command in commands if (found := self._hash(command)) is not None]
        if hashes:
            given = {"tenant_id": self._tenant_id, "hashes": hashes}
            self._known = {bytes(row[0]) for row in await (await self._conn.execute(_queries.known, given)).fetchall()}

    def knows(self, command: Command) -> bool:
        return self._hash(command) in self._known

    def did(self, command: Command) -> None:
        if (found := self._hash(command)) is not None:
            self._known.add(found)
            self._done.append(found)

    async def remember(self) -> None:
        if self._done:
            given = {"tenant_id": self._tenant_id, "hashes": self._done, "nobody": SMALLEST_ID}
            await self._conn.execute(_queries.remember, given)

    def _hash(self, command: Command) -> bytes | None:
        """Apart from the hashes of activities' keys: a label holds no control character that anyone would send."""
        key = command.get("key") if command["do"] == "mapped" else None
        return None if key is None else key_hash(self._tenant_id, f"\1{command['via']}", key)


async def merged(conn: Connection, tenant_id: int, command: Command, now: datetime) -> Command:
    """The command with the attributes that are there already beside its own."""
    if "attributes" not in command or command["do"] not in ("put_actor", "put_group"):
        return command
    try:
        if command["do"] == "put_actor":
            there = (await get_actor(conn, tenant_id, command["id"])).attributes
        else:
            there = (await get_group(conn, tenant_id, command["id"], at=now)).attributes
    except NotFound:
        return command
    return {**command, "attributes": {**there, **command["attributes"]}}


async def kept_as_letter(
    conn: Connection, tenant_id: int, command: Command, answer: Answer, *, model: int, received_at: datetime
) -> None:
    """Keep the message of a command that was refused, with what the refusal says."""
    errors = answer.get("errors", [])
    fault = Fault(error_class="model", error=answer["detail"], facts={"errors": errors} if errors else {})
    message = _encode(command["message"])
    await set_aside_raw(conn, tenant_id, message, fault, via=command["via"], model=model, received_at=received_at)
