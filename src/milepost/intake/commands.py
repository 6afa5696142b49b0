"""Commands of a lane: every change of derived rows that is not a batch of activities.

A command is JSON with a `do`: `correct` and `retract` an activity, `restore` a version of it (`milepost.intake.corrections`), `put_group`,
`put_actor`, `put_member`, `remove_member`, `follow`, `unfollow`, `invite`, `answer_invitation`, `revoke_invitation`, `show_member` on a
board, `put_snapshot` of one and `remove_snapshot`, `retain` (a window of retention), `erase` (a step of one), and `mapped`, those of a
message of another standard (`milepost.intake.commands_once`). It runs inside the load transaction, in lane order, so that what it reads
is what all before it has written. It answers as the API does: `{"status": 200, …}`, or a problem (`status` 404, 409, 412 or 422) that
changed nothing.

A change of group, zone or membership that holds from a past moment re-attributes what was already counted: the contributions of
the activities concerned are folded away under the old history, the change is made, and they are folded in again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from milepost.access import changes
from milepost.activity import SMALLEST_ID, id_from
from milepost.boards.members import put_shown
from milepost.boards.snapshots import put_snapshot, remove_snapshot
from milepost.errors import Conflict, MilepostError
from milepost.intake._milestones import settle_targets
from milepost.intake._problems import Answer, problem
from milepost.intake.accept import Acceptor
from milepost.intake.commands_once import Once, kept_as_letter, merged
from milepost.intake.corrections import Command, Corrections, Planned
from milepost.intake.derive import clear_dirty, fold_groups, hide, repair_groups
from milepost.intake.erase import erase
from milepost.intake.removal import retain
from milepost.postgres import Connection, load_queries
from milepost.schema.compile import CompiledModel
from milepost.storage.content import Contents
from milepost.storage.recall import Recall

__all__ = ["Runner", "decode_commands"]

_queries = load_queries(__package__, "load.sql")


def decode_commands(payload: bytes) -> list[Command]:
    """One command, or a list of them."""
    decoded = msgspec.json.decode(payload)
    return decoded if isinstance(decoded, list) else [decoded]


class Runner:
    """Runs commands of one tenant inside one transaction; `touched` says whether the journal has something to tell."""

    def __init__(
        self,
        conn: Connection,
        tenant_id: int,
        compiled: CompiledModel,
        acceptor: Acceptor,
        recall: Recall,
        contents: Contents,
        planned: Planned,
        *,
        after_load: bool = False,
    ) -> None:
        """planned: within it so many activities are folded. after_load: in the transaction of a load, whose rows the temp tables still hold."""
        self.conn = conn
        self.tenant_id = tenant_id
        self.tenant = {"tenant_id": tenant_id}
        self.compiled = compiled
        self.acceptor = acceptor
        self.recall = recall
        self.corrections = Corrections(conn, tenant_id, compiled, acceptor, recall, contents, planned)
        self._used = after_load
        self.took_names = False  # what is remembered of names must be forgotten, once this is committed

    async def run(self, commands: Sequence[Command], received_at: datetime) -> list[Answer]:
        """The answers, in order. Corrections and retractions of different activities are done together."""
        answers: list[Answer] = [{} for _ in commands]
        edits: list[tuple[int, Command]] = []
        once = Once(self.conn, self.tenant_id)
        await once.look(commands)
        for index, command in enumerate(commands):
            if command["do"] in ("correct", "retract", "restore"):
                if any(command["id"] == other["id"] for _, other in edits):
                    await self._edit(edits, answers, received_at)
                    edits = []
                edits.append((index, command))
                continue
            if edits:
                await self._edit(edits, answers, received_at)
                edits = []
            match command["do"]:
                case "mapped":
                    answers[index] = await self._mapped(command, once, received_at)
                case "show_member":
                    answers[index] = await self._show_member(command)
                case "put_snapshot" | "remove_snapshot":
                    answers[index] = await self._snapshot(command, received_at)
                case "retain" | "erase":
                    answers[index] = await self._remove(command, received_at)
                case _:
                    answers[index] = await self._change(command, received_at)
        if edits:
            await self._edit(edits, answers, received_at)
        await once.remember()
        return answers

    async def _mapped(self, command: Command, once: Once, received_at: datetime) -> Answer:
        if once.knows(command):
            return {"status": 200, "duplicate": True}
        for one in command["commands"]:
            answer = await self._change(await merged(self.conn, self.tenant_id, one, received_at), received_at)
            if answer["status"] >= 300:
                version = self.acceptor.version
                await kept_as_letter(self.conn, self.tenant_id, command, answer, model=version, received_at=received_at)
                return answer
        once.did(command)
        return {"status": 200}

    async def _edit(self, commands: Sequence[tuple[int, Command]], answers: list[Answer], received_at: datetime) -> None:
        edits = await self.corrections.plan(commands, answers, received_at)
        if edits:
            await self._fresh()
            await self.corrections.do(edits, answers)

    async def _fresh(self) -> None:
        """Empty the temp tables, which else empty themselves at commit."""
        if self._used:
            for query in (
                _queries.empty_delta,
                _queries.empty_stage,
                _queries.empty_moved,
            ):
                await self.conn.execute(query)
            await clear_dirty(self.conn, self.compiled)
        self._used = True

    # ── history ──

    async def _change(self, command: Command, received_at: datetime) -> Answer:
        model = self.compiled.model
        try:
            change = await changes.prepare(self.conn, self.tenant_id, command, now=received_at, model=model)
        except MilepostError as error:
            return problem(error)
        moved = 0
        activity = self.compiled.activity
        affected = activity.of_actors if change.actors else activity.of_groups
        if change.since is not None and affected is not None:
            await self._fresh()
            low = SMALLEST_ID if change.since.year <= 1 else id_from(change.since)
            parameters = {**self.tenant, "groups": list(change.groups), "actors": list(change.actors), "low": low}
            try:
                await self.recall.of_history(
                    self.conn,
                    self.tenant_id,
                    groups=change.groups,
                    actors=change.actors,
                    low=low,
                    members=bool(activity.of_actors),
                )
                await self.conn.execute(affected, parameters)
                await self.recall.for_delta(self.conn, self.tenant_id, self.compiled, taken_back=True)
            except Conflict as error:
                return problem(error)
            row = await (await self.conn.execute(_queries.delta_count)).fetchone()
            moved = row[0] if row else 0
        if moved:
            await fold_groups(self.conn, self.compiled, self.tenant_id, taken_back=True)
        answer = await changes.apply(self.conn, self.tenant_id, command, change, now=received_at, model=model)
        if moved:
            await self.conn.execute(_queries.flip)
            await fold_groups(self.conn, self.compiled, self.tenant_id, taken_back=False)
            await repair_groups(self.conn, self.compiled, self.tenant_id)
        if command["do"] == "put_group" and "attributes" in command:
            settled = await settle_targets(self.conn, self.compiled, self.tenant_id, [command["id"]], at=received_at)
            self._used = self._used or settled
        return {"status": 200, "body": answer, "reattributed": moved}

    # ── boards ──

    async def _show_member(self, command: Command) -> Answer:
        try:
            shown = await put_shown(self.conn, self.tenant_id, self.compiled.model, command)
        except MilepostError as error:
            return problem(error)
        for board in self.compiled.boards:
            if board.name == shown.board:
                await hide(self.conn, board, self.tenant_id, shown.number, hidden=shown.hidden)
        return {"status": 200, "body": {"member": shown.member, "shown": shown.shown}}

    async def _snapshot(self, command: Command, received_at: datetime) -> Answer:
        model = self.compiled.model
        try:
            if command["do"] == "put_snapshot":
                kept = await put_snapshot(self.conn, self.tenant_id, model, command, now=received_at)
                return {"status": 200, "body": kept}
            await remove_snapshot(self.conn, self.tenant_id, model, command, now=received_at)
        except MilepostError as error:
            return problem(error)
        return {"status": 204, "body": None}

    # ── retention and erasure ──

    async def _remove(self, command: Command, received_at: datetime) -> Answer:
        await self._fresh()
        work = retain if command["do"] == "retain" else erase
        try:
            done = await work(self.conn, self.compiled, self.tenant_id, command, received_at, self.recall)
        except MilepostError as error:
            return problem(error)
        self.took_names = self.took_names or command["do"] == "erase"
        return {"status": 200, "body": done}
