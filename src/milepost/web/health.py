"""`/healthz`, `/readyz`, `/metrics`: for those who run it. They need no key, and tell nothing of any tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from litestar import Response, get

from milepost import telemetry
from milepost.activity import id_from
from milepost.errors import MilepostError
from milepost.postgres import Connection, answered, load_queries
from milepost.search.progress import lag_s
from milepost.storage.objects import object_store
from milepost.storage.partitions import list_partitions
from milepost.web import operation_schemas
from milepost.web.answers import answer
from milepost.web.openapi import documented
from milepost.web.problems import NotReady
from milepost.web.request import ApiRequest
from milepost.web.services import Services

__all__ = ["missing", "routes"]

_queries = load_queries(__package__, "health.sql")

CHECK_S = 3.0
AHEAD = timedelta(days=1)  # activities may lie so far in the future


@get("/healthz", summary="Up", description="This process answers.", opt=documented("Running it"))
async def healthz() -> Response[bytes]:
    return answer({"status": "up"}, headers={"cache-control": "no-store"})


@get(
    "/readyz",
    summary="Able to take and load activities",
    description="503 where something is missing, which it names: the database, a model, a loader for a lane, a partition. `taking` says "
    "whether activities are acknowledged all the same, `queue` where they go: `direct` into it, or into the spill while it is away. "
    "`search` says how far the search index is behind, which is no reason not to be ready; absent where nothing is searched. "
    "`object_store` says whether that answers, which is none either: what needs it answers 503 by itself.",
    opt=documented("Running it", operation_schemas.Readiness),
)
async def readyz(request: ApiRequest) -> Response[bytes]:
    found = await missing(request.services)
    checks = {check for check, _ in found}
    content = {
        "ready": not found,
        "taking": "model" not in checks and request.services.queue.taking,
        "queue": request.services.queue.state(),
        "missing": [{"check": check, "detail": detail} for check, detail in found],
    }
    store = object_store(request.services.settings)
    content["object_store"] = await store.answers(within_s=CHECK_S)
    if not checks & {"model", "database"} and request.services.models.current.compiled.search is not None:
        content["search"] = {"lag_s": await answered(_search_lag_s(request.services), CHECK_S)}
    return answer(content, status=503 if found else 200, headers={"cache-control": "no-store"})


@get(
    "/metrics",
    summary="Metrics of this process, for Prometheus",
    opt=documented("Running it"),
)
async def metrics(request: ApiRequest) -> Response[bytes]:
    for pool, sizes in request.services.db.pool_sizes().items():
        telemetry.gauge("pool_connections", sizes.get("pool_available", 0), pool=pool, state="idle")
        used = sizes.get("pool_size", 0) - sizes.get("pool_available", 0)
        telemetry.gauge("pool_connections", used, pool=pool, state="used")
    # A header of its own: the framework would add a second charset to the media type.
    headers = {"content-type": telemetry.CONTENT_TYPE_LATEST, "cache-control": "no-store"}
    return Response(telemetry.render(), headers=headers)


async def missing(services: Services) -> list[tuple[str, str]]:
    """(check, what is missing), for each thing without which activities cannot be taken and loaded."""
    found = []
    try:
        _ = services.models.current
    except NotReady as error:
        found.append(("model", str(error)))
    try:
        found += await answered(_of_database(services), CHECK_S)
    except MilepostError as error:
        found.append(("database", str(error)))
    return found


async def _of_database(services: Services) -> list[tuple[str, str]]:
    async with services.db.transaction("point", wait_s=CHECK_S) as conn:
        return await _lanes(conn) + await _partitions(conn, datetime.now(UTC))


async def _search_lag_s(services: Services) -> float:
    async with services.db.transaction("point", wait_s=CHECK_S) as conn:
        return round(await lag_s(conn), 3)


async def _lanes(conn: Connection) -> list[tuple[str, str]]:
    rows = await (await conn.execute(_queries.lanes)).fetchall()
    if not rows:
        return [("lanes", "There are no lanes: run `milepost db migrate`.")]
    return [("lanes", f"No loader holds lane {lane}.") for lane, held in rows if not held]


async def _partitions(conn: Connection, now: datetime) -> list[tuple[str, str]]:
    partitions = await list_partitions(conn)
    for moment in (now, now + AHEAD):
        wanted = id_from(moment)
        if not any(one.low <= wanted < one.high for one in partitions):
            return [("partitions", f"There is no partition for {moment:%Y-%m} yet.")]
    return []


routes = [healthz, readyz, metrics]
