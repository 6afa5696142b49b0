"""For tests of the search index.

- `site`: a fresh database with the model of `searching`, one tenant, and its lane.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fix_queue import owner_of, queue_on
from milepost.access.tenants import create_tenant
from milepost.intake.load import Lane
from milepost.postgres import Database
from milepost.schema.models import apply_model
from milepost.search.indexer import Indexer
from milepost.settings import Settings
from searching import MODEL, Site


@pytest.fixture
async def site(db: Database, settings: Settings) -> AsyncIterator[Site]:
    async with owner_of(db) as owner, queue_on(db, settings) as queue:
        await apply_model(owner, MODEL)
        tenant = await create_tenant(owner, "site", 1)
        lane = Lane(db, queue, 0, "test", settings)
        assert await lane.open()
        yield Site(db, queue, lane, Indexer(db), tenant.tenant_id)
        await lane.close()
