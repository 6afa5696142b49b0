"""Corrections and retractions of activities, and restored versions of them: planned one by one, written together.

    corrections = Corrections(conn, tenant_id, compiled, acceptor, recall, contents, planned)
    edits = await corrections.plan(commands, answers, received_at)   # what cannot be done has its answer now
    await corrections.do(edits, answers)                             # the temp tables are empty

A correction takes the activity back and puts it in anew, with the same hash and, where its time moved, another id; what it has beside its
row (content, files, versions, its place in the chain) follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from milepost.activity import HASH_MASK
from milepost.errors import Conflict, FieldError, InvalidInput, MilepostError, NotFound, PreconditionFailed
from milepost.intake import _rows
from milepost.intake._load_rows import LoadRows
from milepost.intake._problems import Answer, problem
from milepost.intake.accept import Acceptor
from milepost.intake.derive import derive
from milepost.intake.names import give_numbers
from milepost.intake.parked import park
from milepost.intake.write import stage
from milepost.postgres import Connection, load_queries
from milepost.schema.compile import CompiledModel
from milepost.storage.activities import Presenter, by_ids
from milepost.storage.chain import Gone, chain_of, forget_salts
from milepost.storage.content import Contents, Kept, follow, kept_of
from milepost.storage.naming import name_anew, require_nameable
from milepost.storage.recall import Recall
from milepost.storage.versions import Made, forget_versions, record, restorable

__all__ = ["Command", "Corrections", "Edit", "Planned"]

_queries = load_queries(__package__, "load.sql")

# What a correction cannot change: an activity's identity, and what the server says of it.
_FIXED = frozenset({"id", "key", "source", "version", "received_at"})
_GIVEN = ("actor", "verb", "object", "group", "groups", "measures", "data", "visibility", "status", "source", "key")

Command = dict[str, Any]
Planned = Callable[[int], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A correction or retraction that will be done: index is the command's place in the answers."""

    index: int
    old_id: UUID
    new_id: UUID | None  # None: retracted
    public_id: UUID
    version: int
    verbs: frozenset[str]  # before and after
    payload: _rows.Payload | None  # its row
    activity: dict[str, Any]
    before: dict[str, Any]  # what could be corrected of it, where its versions are kept
    first_at: datetime | None = None  # when it was received; None: its versions are not kept
    made: Made | None = None
    keeps_content: bool = False  # in the object store: not a word of it was changed
    files: dict[str, list[UUID]] = field(default_factory=dict)  # by name
    declared: frozenset[str] = frozenset()  # names of files that the verb has, or the one before

    @property
    def large(self) -> bool:
        return self.payload is not None and bool(self.payload.header.large)


class Corrections:
    """Of one tenant, inside one transaction."""

    def __init__(
        self,
        conn: Connection,
        tenant_id: int,
        compiled: CompiledModel,
        acceptor: Acceptor,
        recall: Recall,
        contents: Contents,
        planned: Planned,
    ) -> None:
        """planned: within it so many activities are folded; what is planned there serves again."""
        self.conn = conn
        self.tenant_id = tenant_id
        self.tenant = {"tenant_id": tenant_id}
        self.compiled = compiled
        self.acceptor = acceptor
        self.recall = recall
        self.contents = contents
        self.planned = planned
        self.presenter = Presenter(compiled.columns, attached=compiled.model.verbs_with_files())

    async def plan(self, commands: Sequence[tuple[int, Command]], answers: list[Answer], received_at: datetime) -> list[Edit]:
        """commands: with their places in the answers. What waits, or cannot be done, is answered."""
        asked = [UUID(command["id"]) for _, command in commands]
        await self.recall.of_ids(self.conn, self.tenant_id, asked)
        async with self.planned(0):
            found = await by_ids(self.conn, self.tenant_id, asked, self.presenter, content=True)
        stored = await kept_of(self.conn, self.tenant_id, [found[one][0] for one in asked if one in found])
        edits: list[Edit] = []
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
        return await self._unblocked(_distinct(edits, answers), answers)

    async def do(self, edits: Sequence[Edit], answers: list[Answer]) -> None:
        """All of them, or none: beyond what the archive may give back in one go."""
        try:
            async with self.conn.transaction():
                await self._write(edits)
                await self.recall.for_delta(self.conn, self.tenant_id, self.compiled, taken_back=True)
        except Conflict as error:  # of the archive: nothing was changed
            for edit in edits:
                answers[edit.index] = problem(error)
            return
        counting = self.compiled.counting({verb for edit in edits for verb in edit.verbs})
        async with self.planned(len(edits)), self.conn.pipeline():
            await derive(self.conn, counting, self.tenant_id, taken_back=True)
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
    ) -> Edit:
        """With what the correction needs of the object store, and of the version that is restored."""
        if found is None:
            raise NotFound("There is no such activity.")
        current_id, activity, content = found
        kept = stored.get(current_id)
        patch = command.get("patch")
        if command["do"] == "restore":
            text = await restorable(self.conn, self.tenant_id, UUID(activity["id"]), command["version"])
            patch = msgspec.json.decode(text)
        keeps = patch is not None and kept is not None and "content" not in patch and not self._keeps_versions(activity)
        if patch is not None and kept is not None and not keeps:
            content = msgspec.json.decode(await self.contents.whole(kept))
        edit = self._plan(index, command, current_id, activity, content, patch, received_at)
        if edit.files:
            await require_nameable(self.conn, self.tenant_id, current_id, edit.activity["verb"], edit.files)
        return replace(edit, keeps_content=keeps)

    def _keeps_versions(self, activity: Mapping[str, Any]) -> bool:
        verb = self.compiled.model.verbs.get(activity["verb"])
        return verb is not None and verb.content is not None and verb.content.versions

    def _declared_files(self, name: str) -> frozenset[str]:
        verb = self.compiled.model.verbs.get(name)
        return frozenset() if verb is None else frozenset(verb.files)

    def _plan(
        self,
        index: int,
        command: Command,
        current_id: UUID,
        activity: dict[str, Any],
        content: Any,
        patch: Any,
        received_at: datetime,
    ) -> Edit:
        if activity["verb"] == "milestone":
            raise Conflict("A milestone is made and taken away by milepost: it stands as long as it is reached.")
        version = activity["version"]
        wanted = command.get("if_match")
        if wanted is not None and wanted != version:
            raise PreconditionFailed(f"The activity is at version {version} by now.", version=version)
        public_id = UUID(activity["id"])
        if command["do"] == "retract":
            return Edit(
                index=index,
                old_id=current_id,
                new_id=None,
                public_id=public_id,
                version=version,
                verbs=frozenset({activity["verb"]}),
                payload=None,
                activity={},
                before={},
            )
        for name in sorted(_FIXED & patch.keys() if command["do"] == "correct" else ()):
            raise InvalidInput(errors=(FieldError(f"/{name}", "cannot be changed"),))
        given = {name: activity[name] for name in _GIVEN if name in activity}
        given["occurred_at"] = activity["occurred_at"]
        if "files" in activity:
            known = self._declared_files(activity["verb"])  # what the model has no more stays as it is
            given["files"] = {name: [one["id"] for one in named] for name, named in activity["files"].items() if name in known}
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
        encoded = self.acceptor.correction(
            self.tenant_id, body, received_at, received_at=received, hash62=current_id.int & HASH_MASK
        )
        keeps_versions = self._keeps_versions(merged)
        files = {name: [UUID(hex=one) for one in found] for name, found in encoded.payload.header.files.get(0, {}).items()}
        merged.pop("files", None)
        if files:  # tickets as what they stand for
            merged["files"] = {name: [str(one) for one in found] for name, found in files.items()}
        return Edit(
            index=index,
            old_id=current_id,
            new_id=UUID(int=encoded.id),
            public_id=public_id,
            version=version + 1,
            verbs=frozenset({activity["verb"], merged["verb"]}),
            payload=encoded.payload,
            activity={"id": str(public_id), **merged},
            before=before if keeps_versions else {},
            first_at=received if keeps_versions else None,
            made=Made(version=version + 1, at=received_at, by=command.get("by"), why=command.get("why")),
            files=files,
            declared=self._declared_files(activity["verb"]) | self._declared_files(merged["verb"]),
        )

    async def _unblocked(self, edits: list[Edit], answers: list[Answer]) -> list[Edit]:
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

    async def _write(self, edits: Sequence[Edit]) -> None:
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
        if retracted := [edit.old_id for edit in edits if edit.new_id is None]:
            await forget_salts(conn, self.tenant_id, retracted)
        parameters = {**self.tenant, "old_ids": old_ids, "new_ids": [edit.new_id for edit in edits]}
        await conn.execute(_queries.bury, parameters)
        kept = {edit.old_id: edit.new_id for edit in corrected if edit.keeps_content and edit.new_id is not None}
        large = [edit.new_id for edit in corrected if edit.large and edit.new_id is not None]
        to = {edit.old_id: edit.new_id for edit in corrected if edit.new_id is not None}
        await follow(conn, self.tenant_id, old_ids, to, kept, large)
        for edit in corrected:
            if edit.declared and edit.new_id is not None:
                versions, declared = edit.first_at is not None, edit.declared
                await name_anew(conn, self.tenant_id, edit.new_id, edit.files, declared=declared, versions=versions)
        await self._link(edits)
        await self._keep_versions(edits)

    async def _link(self, edits: Sequence[Edit]) -> None:
        chain = chain_of(self.compiled)
        if chain is None:
            return
        left: list[tuple[UUID, Gone]] = [
            (edit.old_id, "retracted" if edit.new_id is None else "moved") for edit in edits if edit.new_id != edit.old_id
        ]
        new_ids = [edit.new_id for edit in edits if edit.new_id is not None]
        await chain.change(self.conn, self.tenant_id, corrected=new_ids, gone=left, why="corrected")

    async def _keep_versions(self, edits: Sequence[Edit]) -> None:
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


def _distinct(edits: list[Edit], answers: list[Answer]) -> list[Edit]:
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


_encode = msgspec.json.Encoder(decimal_format="number").encode
