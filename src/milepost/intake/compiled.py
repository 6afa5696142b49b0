"""What a loading session has made of the current model: once, and again when a load finds that the deployment has another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from milepost.errors import MilepostError
from milepost.intake.accept import Acceptor
from milepost.postgres import Connection, load_queries, translated
from milepost.schema.compile import CompiledModel
from milepost.schema.models import current_model
from milepost.settings import Settings
from milepost.storage.chain import Chain, chain_of
from milepost.storage.cold_files import cold_files
from milepost.storage.recall import Recall

__all__ = ["Compiled", "ModelChanged", "compile_current"]

_queries = load_queries(__package__, "compiled.sql")


class ModelChanged(MilepostError):
    """The deployment has another model than the one this loader compiled."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """chain: None where the model has none."""

    version: int
    model: CompiledModel
    acceptor: Acceptor
    recall: Recall
    chain: Chain | None


async def compile_current(
    conn: Connection, settings: Settings, require_partitions: Callable[[UUID, UUID], Awaitable[None]]
) -> Compiled:
    """Also makes the session's temp tables. require_partitions: for what comes back from the archive."""
    with translated():
        current = await current_model(conn)
        await conn.execute(_queries.drop_temp)
        for statement in current.compiled.temp_ddl():
            await conn.execute(statement)
    return Compiled(
        version=current.version,
        model=current.compiled,
        acceptor=Acceptor(current.model, current.version),
        recall=Recall(cold_files(settings), current.compiled.columns, require_partitions),
        chain=chain_of(current.compiled),
    )
