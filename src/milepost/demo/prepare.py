"""Preparing a demo: the schema, the model, a tenant, a key, and the sample loaded; each step only as far as it is not done yet.

The sample goes through the acceptor and the queue in batches, a few at a time on their way, and how far it is loaded is
remembered: a demo that was stopped, or killed, in the middle goes on from there. What is sent twice after a kill has the ids it
had before, and counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import TypeVar

import msgspec

from milepost.access.keys import Keys, create_key
from milepost.access.tenants import Tenant, create_tenant, find_tenant
from milepost.demo import model_text
from milepost.demo.sample import Sample
from milepost.demo.state import State, StateFile
from milepost.demo.systems import SIZES, sample_of
from milepost.errors import Conflict, MilepostError, NotFound, Unauthorized
from milepost.importing.database import DatabaseSink, open_sink
from milepost.postgres import Connection, Database, load_queries
from milepost.schema import migrate
from milepost.schema.models import apply_model, current_model
from milepost.settings import Settings

__all__ = ["TENANT", "Prepared", "Progress", "prepare"]

queries = load_queries(__package__, "demo.sql")

TENANT = "demo"
COMMANDS_PER_BATCH = 250
ACTIVITIES_PER_BATCH = 2_500
PENDING_MAX = 6  # batches on their way
SAVE_S = 1.0

Item = TypeVar("Item")

# Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """loaded: how many activities of the sample this run has loaded; 0 where they were there."""

    tenant: Tenant
    key: str
    sample: Sample
    loaded: int


async def prepare(settings: Settings, url: str, system: str, size: int | None, on_progress: Progress) -> Prepared:
    """Raises `Conflict` for a database that has another model."""
    lean = replace(settings, write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    async with await Database.connect_owner(url) as owner:
        await migrate(owner, settings.lanes)
        await _apply(owner, system)
    async with await Database.open(url, lean) as database:
        tenant = await _tenant(database, settings.lanes)
        async with open_sink(database, lean, TENANT) as sink:
            file = StateFile(settings.data_dir, system)
            state = await _state(database, file, sink.identity, tenant, size or SIZES[system])
            sample = sample_of(system, anchor=state.anchor, size=state.size)
            before = state.activities
            try:
                await _declare(sink, sample, state, on_progress)
                await _load(sink, sample, state, file, on_progress)
            finally:
                file.save(state)
    return Prepared(tenant=tenant, key=state.key, sample=sample, loaded=state.activities - before)


async def _apply(owner: Connection, system: str) -> None:
    try:
        current = await current_model(owner)
    except NotFound:
        pass
    else:
        if current.model.name != system:
            raise Conflict(
                f"This database has the model {current.model.name}: give the {system} demo a database of its own.",
                model=current.model.name,
            )
    await apply_model(owner, model_text(system))


async def _tenant(database: Database, lanes: int) -> Tenant:
    async with database.transaction("write") as connection:
        try:
            return await find_tenant(connection, TENANT)
        except NotFound:
            return await create_tenant(connection, TENANT, lanes)


async def _state(database: Database, file: StateFile, identity: str, tenant: Tenant, size: int) -> State:
    """What is remembered, with a key that works."""
    state = file.load(identity)
    if state is not None:
        try:
            await Keys(database).verify(state.key)
        except Unauthorized:
            state.key = await _key(database, tenant)
        return state
    async with database.transaction("point", tenant_id=tenant.tenant_id) as connection:
        row = await (await connection.execute(queries.has_activities, {"tenant_id": tenant.tenant_id})).fetchone()
    state = State(
        database=identity,
        key=await _key(database, tenant),
        anchor=datetime.now(UTC).replace(microsecond=0),
        size=size,
    )
    if row is not None and row[0]:
        state.commands, state.activities = size, size  # more than there are; it only says that nothing is left to do
    file.save(state)
    return state


async def _key(database: Database, tenant: Tenant) -> str:
    async with database.transaction("write") as connection:
        return await create_key(connection, tenant.tenant_id, ("read", "write", "admin"), "demo")


async def _declare(sink: DatabaseSink, sample: Sample, state: State, on_progress: Progress) -> None:
    """Groups, actors and members. Waits for each batch: an activity may need what was declared before it."""
    commands = list(sample.commands())
    for batch in _batches(islice(commands, state.commands, None), COMMANDS_PER_BATCH):
        on_progress("groups and people", state.commands, len(commands))
        outcome = await sink.wait(await sink.command([msgspec.json.encode(command) for command in batch]))
        if outcome.dead or outcome.refused:
            raise MilepostError(f"The sample does not fit the model: {outcome.refused or 'its groups cannot be loaded'}.")
        state.commands += len(batch)
    on_progress("groups and people", len(commands), len(commands))


async def _load(sink: DatabaseSink, sample: Sample, state: State, file: StateFile, on_progress: Progress) -> None:
    pending: deque[tuple[int, int]] = deque()  # the receipt, and how many are loaded once it is
    saved_at = monotonic()

    async def settle() -> None:
        nonlocal saved_at
        receipt, done = pending.popleft()
        if (await sink.wait(receipt)).dead:
            raise MilepostError("A batch of the sample cannot be loaded: see `milepost dead-letters list`.")
        state.activities = done
        on_progress("activities", done, sample.size)
        if monotonic() - saved_at > SAVE_S:
            file.save(state)
            saved_at = monotonic()

    sent = state.activities
    if sent < sample.size:
        on_progress("activities", sent, sample.size)
        for batch in _batches(islice(sample.activities(), sent, None), ACTIVITIES_PER_BATCH):
            answer = await sink.send([msgspec.json.encode(activity) for activity in batch])
            if answer.refused or answer.receipt is None:
                raise MilepostError(f"The sample does not fit the model: {answer.refused[:1]}.")
            sent += len(batch)
            pending.append((answer.receipt, sent))
            while len(pending) >= PENDING_MAX:
                await settle()
        while pending:
            await settle()


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
