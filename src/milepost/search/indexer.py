"""The indexer: follows every tenant's journal, and fills the index from history where the model wants another one.

One works at a time in a deployment: its session holds a lock, which goes with it if the process dies, and another process takes over
within `TAKE_S`. It looks twice a second; what is loaded is searchable about then, and loading never waits for it. Steps are taken in
turn by tenant, and history only by tenants whose journal is taken in, so that what is new comes first.

How it fails: a tenant whose step fails is tried again at the next look while others go on; a lost connection begins a new session. An
index that falls behind shows in `search_lag_seconds`, and the journal keeps what it has not taken in.
"""

from __future__ import annotations

from time import perf_counter

import structlog

from milepost.errors import MilepostError, NotFound, Timeout
from milepost.postgres import Connection, Database, advisory_lock, load_queries, translated
from milepost.schema.compile import CompiledSearch
from milepost.schema.models import current_model
from milepost.search.index import fill, follow, forget, work
from milepost.service import Service
from milepost.storage.cold import Cold
from milepost.storage.cold_files import cold_files
from milepost.telemetry import count, gauge, observe

__all__ = ["Indexer"]

_queries = load_queries(__package__, "index.sql")
_log = structlog.get_logger(__name__)

LOCK = "milepost.search"
LOOK_S = 0.5
TAKE_S = 2.0
SESSION = {
    # A step that a crash takes back is taken again: how far the index is goes back with it.
    "synchronous_commit": "off",
    "statement_timeout": "120s",
    "idle_in_transaction_session_timeout": "60s",
    "work_mem": "32MB",
    "maintenance_work_mem": "64MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Ids are given, and looked up one by one; nobody's statistics are to say otherwise.
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class Indexer(Service):
    name = "indexer"

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._db = db
        self._version = -1
        self._search: CompiledSearch | None = None
        self._cold: Cold | None = None

    async def run_once(self) -> int:
        """Index all there is, in a session of its own. → activities looked at. Raises `Timeout` while another indexer works."""
        owner = await self._db.owner(settings=SESSION)
        try:
            async with advisory_lock(owner, LOCK, timeout_s=0):
                return await self._catch_up(owner)
        finally:
            await owner.close()

    async def _run(self) -> None:
        while not self.stopping:
            try:
                await self._session()
            except Timeout:
                pass  # another process has the index
            except MilepostError as error:
                count("search_failures")
                _log.warning("the indexer's session ended", error=str(error))
            except Exception:
                count("search_failures")
                _log.exception("the indexer failed")
            await self.pause(TAKE_S)

    async def _session(self) -> None:
        owner = await self._db.owner(settings=SESSION)
        try:
            async with advisory_lock(owner, LOCK, timeout_s=0):
                while not self.stopping:
                    await self._catch_up(owner)
                    await self.pause(LOOK_S)
        finally:
            await owner.close()

    async def _catch_up(self, owner: Connection) -> int:
        """Rounds, until nothing is left to do but what fails."""
        done, failing = 0, set[int]()
        while not self.stopping:
            await self._compile(owner)
            todo = [one for one in await work(owner, self._search) if one.tenant_id not in failing]
            await self._measure(owner)
            if not todo:
                break
            for one in todo:
                if self.stopping:
                    break
                try:
                    done += await self._step(owner, one.tenant_id, behind=one.behind)
                except MilepostError as error:
                    if owner.closed:
                        raise
                    failing.add(one.tenant_id)
                    count("search_failures")
                    _log.warning("a tenant could not be indexed", tenant_id=one.tenant_id, error=str(error))
        return done

    async def _step(self, owner: Connection, tenant_id: int, *, behind: bool) -> int:
        if self._search is None:
            return await forget(owner, tenant_id)
        began = perf_counter()
        if behind:
            kind, activities = "new", await follow(owner, tenant_id, self._search)
        else:
            kind, activities = "history", await fill(owner, tenant_id, self._search, self._cold)
        observe("search_step_seconds", perf_counter() - began, kind=kind)
        count("search_indexed", activities, kind=kind)
        return activities

    async def _compile(self, owner: Connection) -> None:
        """Another model may have been applied."""
        with translated(owner):
            row = await (await owner.execute(_queries.version)).fetchone()
            version = row[0] if row else 0
            if version == self._version:
                return
            try:
                compiled = (await current_model(owner)).compiled
                self._search, self._cold = compiled.search, Cold(cold_files(self._db.settings), compiled.columns)
            except NotFound:  # no model yet
                self._search = None
        self._version = version

    async def _measure(self, owner: Connection) -> None:
        with translated(owner):
            row = await (await owner.execute(_queries.lag)).fetchone()
        gauge("search_lag_seconds", float(row[0]) if row else 0.0)
