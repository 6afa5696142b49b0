"""Commands of a lane: every change of derived rows that is not a batch of activities.

A command is JSON with a `do`: `correct` and `retract` an activity, `restore` a version of it,
`put_group`, `put_actor`, `put_member`, `remove_member`,
`follow`, `unfollow`, `invite`, `answer_invitation`, `revoke_invitation`, `show_member` on a board, `put_snapshot` of one and
`remove_snapshot`, and `mapped`, those of a message of another standard (`milepost.intake.commands_once`). It runs
`follow`, `unfollow`, `invite`, `answer_invitation`, `revoke_invitation`, `retain` (a window of retention), `erase` (a step of one), and `mapped`, those of a message of another standard (`milepost.intake.commands_once`). It runs
inside the load transaction, in lane order, so that what it reads is what all before it has written. It answers as the API does:
`{"status": 200, …}`, or a problem (`status` 404, 409, 412 or 422) that changed nothing.

A change of group, zone or membership that holds from a past moment re-attributes what was already counted: the contributions of
the activities concerned are folded away under the old history, the change is made, and they are folded in again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from milepost.access import changes
from milepost.activity import HASH_MASK, SMALLEST_ID, id_from
from milepost.boards.members import put_shown
from milepost.boards.snapshots import put_snapshot, remove_snapshot
from milepost.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    MilepostError,
    NotFound,
    ObjectDamaged,
    ObjectMissing,
    PreconditionFailed,
    StoreUnavailable,
)
from milepost.intake import _rows
from milepost.intake._load_rows import LoadRows
from milepost.intake._milestones import settle_targets
from milepost.intake.accept import Acceptor
from milepost.intake.commands_once import Once, kept_as_letter, merged
from milepost.intake.derive import clear_dirty, derive, fold_groups, hide, repair_groups
from milepost.intake.erase import erase
from milepost.intake.names import give_numbers
from milepost.intake.parked import park
from milepost.intake.removal import retain
from milepost.intake.write import stage
from milepost.postgres import Connection, load_queries
from milepost.schema.compile import CompiledModel
from milepost.storage.activities import Presenter, by_ids
from milepost.storage.content import Contents, Kept, follow, kept_of
from milepost.storage.recall import Recall
from milepost.storage.versions import Made, forget_versions, record, restorable

__all__ = ["Answer", "Runner", "decode_commands"]

_queries = load_queries(__package__, "load.sql")

# What a correction cannot change: an activity's identity, and what the server says of it.
_FIXED = frozenset({"id", "key", "source", "version", "received_at"})
_GIVEN = ("actor", "verb", "object", "group", "groups", "measures", "data", "visibility", "status", "source", "key")

Command = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Edit:
    """A correction or retraction that will be done: index is the command's place in the answers."""

    index: int
    old_id: UUID
    new_id: UUID | None  # None: retracted
    public_id: UUID
    version: int
    payload: _rows.Payload | None  # its row
    activity: dict[str, Any]
    before: dict[str, Any]  # what could be corrected of it, where its versions are kept
    first_at: datetime | None = None  # when it was received; None: its versions are not kept
    made: Made | None = None
    keeps_content: bool = False  # in the object store: not a word of it was changed

    @property
    def large(self) -> bool:
        return self.payload is not None and bool(self.payload.header.large)


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
        *,
        after_load: bool = False,
    ) -> None:
        """after_load: in the transaction of a load, whose rows the temp tables still hold."""
        self.conn = conn
        self.tenant_id = tenant_id
        self.tenant = {"tenant_id": tenant_id}
        self.compiled = compiled
        self.acceptor = acceptor
        self.recall = recall
        self.contents = contents
        self.presenter = Presenter(compiled.columns)
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

    # ── corrections and retractions ──

    async def _edit(self, commands: Sequence[tuple[int, Command]], answers: list[Answer], received_at: datetime) -> None:
        asked = [UUID(command["id"]) for _, command in commands]
        await self.recall.of_ids(self.conn, self.tenant_id, asked)
        found = await by_ids(self.conn, self.tenant_id, asked, self.presenter, content=True)
        stored = await kept_of(self.conn, self.tenant_id, [found[one][0] for one in asked if one in found])
        edits: list[_Edit] = []
        missing = [command for (_, command), asked_id in zip(commands, asked, strict=True) if asked_id not in found]
        parked = await park(self.conn, self.tenant_id, missing, model=self.acceptor.version, received_at=received_at)
        for (index, command), asked_id in zip(commands, asked, strict=True):
            if asked_id in parked:
                answers[index] = {"status": 202, "body": {"parked": True}}
                continue
            try:
                edits.append(await self._planned(index, command, found.get(asked_id), stored, received_at))
            except MilepostError as error:
                answers[index] = problem(error)
        # Two public ids that lead to one activity would be one edit too many in the same statement.
        edits = await self._unblocked(_distinct(edits, answers), answers)
        if not edits:
            return
        await self._fresh()
        try:
            async with self.conn.transaction():
                await self._write(edits)
                await self.recall.for_delta(self.conn, self.tenant_id, self.compiled, taken_back=True)
        except Conflict as error:  # of the archive: nothing was changed
            for edit in edits:
                answers[edit.index] = problem(error)
            return
        await derive(self.conn, self.compiled, self.tenant_id, taken_back=True)
        for edit in edits:
            # Through JSON, as it will be stored: measures may be decimals.
            body = msgspec.json.decode(_encode(dict(edit.activity, version=edit.version))) if edit.new_id else None
            answers[edit.index] = {"status": 200 if edit.new_id else 204, "body": body}

    async def _planned(
        self,
        index: int,
        command: Command,
        found: tuple[UUID, dict[str, Any], Any] | None,
        stored: Mapping[UUID, Kept],
        received_at: datetime,
    ) -> _Edit:
        """With what the correction needs of the object store, and of the version that is restored."""
        if found is None:
            raise NotFound("There is no such activity.")
        current_id, activity, content = found
        kept = stored.get(current_id)
        patch = command.get("patch")
        if command["do"] == "restore":
            text = await restorable(self.conn, self.tenant_id, UUID(activity["id"]), command["version"])
            patch = msgspec.json.decode(text)
        if patch is None or kept is None:
            return self._plan(index, command, current_id, activity, content, patch, received_at)
        keeps = "content" not in patch and not self._keeps_versions(activity)
        if not keeps:
            content = msgspec.json.decode(await self.contents.whole(kept))
        edit = self._plan(index, command, current_id, activity, content, patch, received_at)
        return replace(edit, keeps_content=keeps)

    def _keeps_versions(self, activity: Mapping[str, Any]) -> bool:
        verb = self.compiled.model.verbs.get(activity["verb"])
        return verb is not None and verb.content is not None and verb.content.versions

    def _plan(
        self,
        index: int,
        command: Command,
        current_id: UUID,
        activity: dict[str, Any],
        content: Any,
        patch: Any,
        received_at: datetime,
    ) -> _Edit:
        if activity["verb"] == "milestone":
            raise Conflict("A milestone is made and taken away by milepost: it stands as long as it is reached.")
        version = activity["version"]
        wanted = command.get("if_match")
        if wanted is not None and wanted != version:
            raise PreconditionFailed(f"The activity is at version {version} by now.", version=version)
        public_id = UUID(activity["id"])
        if command["do"] == "retract":
            return _Edit(
                index=index,
                old_id=current_id,
                new_id=None,
                public_id=public_id,
                version=version,
                payload=None,
                activity={},
                before={},
            )
        for name in sorted(_FIXED & patch.keys() if command["do"] == "correct" else ()):
            raise InvalidInput(errors=(FieldError(f"/{name}", "cannot be changed"),))
        given = {name: activity[name] for name in _GIVEN if name in activity}
        given["occurred_at"] = activity["occurred_at"]
        if content is not None:
            given["content"] = content
        before = dict(given)
        if "group" in patch and "groups" not in patch:
            given.pop("groups", None)
        merged = patch if command["do"] == "restore" else merge_patch(given, patch)
        if "groups" in patch and "group" not in patch:
            merged.pop("group", None)
        body = _encode(merged)
        received = datetime.fromisoformat(activity["received_at"])
        keeps_versions = self._keeps_versions(merged)
        encoded = self.acceptor.correction(
            self.tenant_id, body, received_at, received_at=received, hash62=current_id.int & HASH_MASK
        )
        return _Edit(
            index=index,
            old_id=current_id,
            new_id=UUID(int=encoded.id),
            public_id=public_id,
            version=version + 1,
            payload=encoded.payload,
            activity={"id": str(public_id), **merged},
            before=before if keeps_versions else {},
            first_at=received if keeps_versions else None,
            made=Made(version=version + 1, at=received_at, by=command.get("by"), why=command.get("why")),
        )

    async def _unblocked(self, edits: list[_Edit], answers: list[Answer]) -> list[_Edit]:
        """Without those whose new time would give them the id of another activity (the same key at that time)."""
        moves = [edit for edit in edits if edit.new_id is not None and edit.new_id != edit.old_id]
        if not moves:
            return edits
        parameters = {**self.tenant, "ids": [edit.new_id for edit in moves], "old_ids": [edit.old_id for edit in moves]}
        await self.recall.of_ids(self.conn, self.tenant_id, [edit.new_id for edit in moves if edit.new_id is not None])
        rows = await (await self.conn.execute(_queries.blocked, parameters)).fetchall()
        blocked = {row[0] for row in rows}
        taken: set[UUID] = set()
        kept = []
        for edit in edits:
            if edit.new_id is not None and edit.new_id != edit.old_id:
                if edit.new_id in blocked or edit.new_id in taken:
                    answers[edit.index] = problem(Conflict("Another activity has this key at that time."))
                    continue
                taken.add(edit.new_id)
            kept.append(edit)
        return kept

    async def _write(self, edits: list[_Edit]) -> None:
        conn, activity = self.conn, self.compiled.activity
        old_ids = [edit.old_id for edit in edits]
        await conn.execute(activity.take_back, {**self.tenant, "old_ids": old_ids})
        await conn.execute(_queries.remove_rows, {**self.tenant, "old_ids": old_ids})
        corrected = [edit for edit in edits if edit.new_id is not None]
        payloads = [edit.payload for edit in corrected if edit.payload is not None]
        if payloads:
            rows = LoadRows(payloads)
            rows.resolve(self.tenant_id, *await give_numbers(conn, self.tenant_id, rows.actors, rows.groups))
            await stage(conn, activity, rows)
            await conn.execute(
                _queries.moved,
                {
                    "ids": [edit.new_id for edit in corrected],
                    "versions": [edit.version for edit in corrected],
                    "public_ids": [edit.public_id if edit.public_id != edit.new_id else None for edit in corrected],
                },
            )
            await conn.execute(activity.correct, self.tenant)
            await conn.execute(_queries.stream, self.tenant)
        parameters = {**self.tenant, "old_ids": old_ids, "new_ids": [edit.new_id for edit in edits]}
        await conn.execute(_queries.bury, parameters)
        kept = {edit.old_id: edit.new_id for edit in corrected if edit.keeps_content and edit.new_id is not None}
        large = [edit.new_id for edit in corrected if edit.large and edit.new_id is not None]
        await follow(conn, self.tenant_id, old_ids, kept, large)
        await self._keep_versions(edits)

    async def _keep_versions(self, edits: Sequence[_Edit]) -> None:
        if gone := [edit.public_id for edit in edits if edit.new_id is None]:
            await forget_versions(self.conn, self.tenant_id, gone)
        for edit in edits:
            if edit.made is not None and edit.first_at is not None:
                after = {name: value for name, value in edit.activity.items() if name != "id"}
                await record(
                    self.conn,
                    self.tenant_id,
                    edit.public_id,
                    before=edit.before,
                    first_at=edit.first_at,
                    after=after,
                    made=edit.made,
                )


def _distinct(edits: list[_Edit], answers: list[Answer]) -> list[_Edit]:
    seen: set[UUID] = set()
    kept = []
    for edit in edits:
        if edit.old_id in seen:
            answers[edit.index] = problem(Conflict("The same activity is changed twice at once."))
            continue
        seen.add(edit.old_id)
        kept.append(edit)
    return kept


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def problem(error: MilepostError) -> Answer:
    """An error as a command's answer; what is not an answer to the caller is raised further."""
    match error:
        case InvalidInput():
            status = 422
        case NotFound():
            status = 404
        case Conflict():
            status = 409
        case PreconditionFailed():
            status = 412
        case StoreUnavailable() | ObjectMissing() | ObjectDamaged():
            status = 503
        case _:
            raise error
    answer: Answer = {"status": status, "detail": str(error)}
    if isinstance(error, InvalidInput):
        answer["errors"] = [{"pointer": field.pointer, "detail": field.detail} for field in error.errors]
    if isinstance(error, PreconditionFailed):
        answer["version"] = error.facts["version"]
    return answer


_encode = msgspec.json.Encoder(decimal_format="number").encode
