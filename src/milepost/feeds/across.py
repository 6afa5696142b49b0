"""A stream across the border: what PostgreSQL has of it, and what the archive has, in one order."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from milepost.feeds._found import Found
from milepost.feeds.listed import Stream
from milepost.postgres import Connection
from milepost.storage.cold import Cold

__all__ = ["Across"]


class Across:
    """cold: None: there is no archive to read. rows: of the archived ones that were found so far, by id."""

    def __init__(self, stream: Stream, tenant_id: int, cold: Cold | None) -> None:
        self._stream = stream
        self._tenant_id = tenant_id
        self._cold = cold
        self.rows: Mapping[UUID, bytes] = {}

    async def newest(self, conn: Connection, low: UUID, high: UUID, wanted: int) -> Found:
        """As `Stream.newest`. What lies below as many as are wanted is not looked for."""
        found = await self._stream.newest(conn, low, high, wanted)
        if self._cold is None:
            return found
        floor = max(found.ids[wanted - 1] if len(found.ids) >= wanted else low, found.end or low)
        cold = await self._cold.newest(conn, self._tenant_id, self._stream, floor, high, wanted)
        self.rows = {**self.rows, **cold.rows}
        return found | Found.of(cold.rows, cold.end)
