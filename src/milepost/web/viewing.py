"""Reading for a request: one snapshot, and what its viewer may see in it.

    async with viewing(request) as view:
        found = await list_members(view.conn, view.tenant_id, group, reader=view.reader)

The model is the one that this process serves as the request comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from milepost.access.viewer import Reader, reader_of
from milepost.model import Model
from milepost.postgres import Connection, QueryClass
from milepost.rollups.sight import require_sight
from milepost.web.request import ApiRequest

__all__ = ["View", "viewing"]


@dataclass(frozen=True, kw_only=True)
class View:
    conn: Connection
    tenant_id: int
    model: Model
    reader: Reader


@asynccontextmanager
async def viewing(
    request: ApiRequest, *, about: Mapping[str, str] | None = None, query_class: QueryClass = "point"
) -> AsyncIterator[View]:
    """about: the group or actor that numbers are asked of, which the viewer must be allowed to be told. Raises `NotFound`."""
    tenant_id, model = request.user.tenant_id, request.services.models.current.model
    async with request.services.db.transaction(query_class, tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, model)
        if about is not None:
            await require_sight(conn, tenant_id, reader, about)
        yield View(conn=conn, tenant_id=tenant_id, model=model, reader=reader)
