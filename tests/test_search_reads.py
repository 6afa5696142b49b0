"""What a search reads of its tables, on each PostgreSQL that is installed here: a bounded number of rows, by index, whatever the word.

The statements within `milepost.search_matches` are planned where nobody sees their plans; so what they read is counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from fix_postgres import fresh_database
from milepost.access.tenants import create_tenant
from milepost.activity import id_from
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema.models import CurrentModel, apply_model, current_model
from milepost.search.find import CANDIDATES_MIN, LED_MAX, WALKED_MAX
from milepost.search.indexer import Indexer
from milepost.search.read import Search, SearchPage, search_page
from milepost.settings import Settings
from milepost.storage.activities import Presenter
from milepost.storage.filters import Filter
from milepost.storage.partitions import ensure_partitions
from searching import MODEL

pytest_plugins = ["fix_schema"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = 30_000
LARGE, SMALL = 1, 2  # tenants: with 97 % of the rows, and with 3 %
BEGIN, END = datetime(2025, 11, 1, tzinfo=UTC), datetime(2026, 2, 20, tzinfo=UTC)
PAGE = 50
# One every five minutes: each says common two times of five, middle once in fifty, rare once in six thousand.
POPULATE = """INSERT INTO milepost.activity (tenant_id, id, occurred_at, received_at, actor_id, audience, verb, data)
    SELECT CASE WHEN i % 33 = 0 THEN 2 ELSE 1 END,
        (left(replace(milepost.id_from(at)::text, '-', ''), 16) || '8' || left(md5(i::text), 15))::uuid, at, at, 1 + i % 50, 0, 'run',
        jsonb_build_object('note', concat_ws(' ', CASE WHEN i % 5 < 2 THEN 'common' END, CASE WHEN i % 50 = 0 THEN 'middle' END,
            CASE WHEN i % 6000 = 17 THEN 'rare' END, 'w' || i % 997 || 'x'))
    FROM (SELECT i, timestamptz '2025-11-02' + i * interval '5 minutes' AS at FROM generate_series(1, 30000) i) s ORDER BY 2"""
READ = """SELECT coalesce(sum(seq_tup_read + idx_tup_fetch) FILTER (WHERE relname = 'search_document'), 0)::bigint,
        coalesce(sum(seq_tup_read + idx_tup_fetch) FILTER (WHERE relname LIKE 'activity%'), 0)::bigint,
        coalesce(sum(seq_scan), 0)::bigint
    FROM pg_stat_xact_user_tables WHERE schemaname = 'milepost' AND relname ~ '^(search_document|activity)'"""


@dataclass(frozen=True)
class Read:
    """What one search read: rows of documents and activities, and how many tables from end to end."""

    page: SearchPage
    documents: int
    activities: int
    whole_tables: int


@dataclass(frozen=True)
class Site:
    db: Database
    current: CurrentModel

    async def search(self, tenant_id: int, q: str, filter: Filter | None = None) -> Read:
        asked = Search(q=q, filter=filter or Filter())
        async with self.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
            presenter = Presenter(self.current.compiled.columns)
            before = await self.read(conn)
            page = await search_page(conn, tenant_id, asked, self.current.compiled, presenter, limit=PAGE)
            after = await self.read(conn)
        return Read(page, *(now - then for now, then in zip(after, before, strict=True)))

    @staticmethod
    async def read(conn: Connection) -> tuple[int, ...]:
        """So far, by this session."""
        row = await (await conn.execute(READ.encode())).fetchone()
        assert row is not None
        return row


@pytest.fixture(scope="module")
def reads_url(any_server: EmbeddedServer, any_template: str) -> Iterator[str]:
    with fresh_database(any_server, any_template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(reads_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("reads"), write_pool_min=0, point_pool_min=0, analytics_pool_min=0)
    async with await Database.connect_owner(reads_url) as owner, await Database.open(reads_url, settings) as db:
        await apply_model(owner, MODEL)
        for number, name in ((LARGE, "large"), (SMALL, "small")):
            assert (await create_tenant(owner, name, 1)).tenant_id == number
        await owner.execute(
            b"INSERT INTO milepost.actor (tenant_id, actor_id, external_id) SELECT t, i, 'user-' || i"
            b" FROM generate_series(1, 2) t, generate_series(1, 50) i"
        )
        await ensure_partitions(owner, id_from(BEGIN), id_from(END), END)
        await owner.execute(POPULATE.encode())
        assert await Indexer(db).run_once() >= ROWS
        await owner.execute(b"VACUUM ANALYZE")
        async with db.transaction("point") as conn:
            current = await current_model(conn)
        yield Site(db, current)


@pytest.mark.parametrize(
    ("q", "found", "documents"),
    [
        ("common", PAGE, 2 * WALKED_MAX),  # among the newest
        (
            "middle",
            PAGE,
            2 * WALKED_MAX + 2 * CANDIDATES_MIN,
        ),  # there are 40 in them; the rest by the index, a bucket's at a time
        ("rare", 5, 2 * WALKED_MAX + 200),
        ("nowhere", 0, 2 * WALKED_MAX + 200),
        ("common middle", PAGE, 2 * WALKED_MAX + 400),
        ("common nowhere", 0, 2 * WALKED_MAX + 200),
        ("rar*", 5, 2 * WALKED_MAX + 200),
        ("rare or nowhere", 5, 2 * WALKED_MAX + 200),
    ],
)
async def test_a_search_reads_a_bounded_number_of_rows(site: Site, q: str, found: int, documents: int) -> None:
    """The newest documents one by one, then what the index leads to, and no more activities than that: never a whole table."""
    read = await site.search(LARGE, q)
    assert len(read.page.items) == found
    assert read.whole_tables == 0
    assert read.documents <= documents
    assert read.activities <= 6 * (found + 2 * CANDIDATES_MIN)


async def test_another_tenants_rows_are_not_read(site: Site) -> None:
    """A tenant with few rows reads few, however many another has."""
    mine = -(-ROWS // 33)
    for q in ("common", "middle", "nowhere"):
        read = await site.search(SMALL, q)
        assert read.whole_tables == 0
        assert read.documents <= 2 * mine + 400, q


async def test_a_rare_filter_leads(site: Site) -> None:
    """With a filter that has few activities, those are read, and not all that has the word."""
    read = await site.search(LARGE, "common", Filter(actor="user-7"))
    assert len(read.page.items) == PAGE
    assert read.whole_tables == 0
    assert read.documents <= LED_MAX
    assert read.page.next is not None
