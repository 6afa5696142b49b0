"""`/v1/admin/jobs` and `/v1/admin/storage`: the schedule of the deployment, and how much the tenant stores.

Jobs are the deployment's. What a run answered may tell of other tenants, so it is only on the command line (`milepost jobs history`).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar import Response, get, post
from litestar.params import PathParameter, QueryParameter

from milepost.jobs.catalogue import JOBS
from milepost.jobs.growth import growth
from milepost.jobs.job import due_at
from milepost.jobs.runs import Run, ask, history, standings
from milepost.jobs.schedule import job_named
from milepost.web import lifecycle_schemas, operation_schemas
from milepost.web.answers import answer, page
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, Limit
from milepost.web.request import ApiRequest, admins, unescape

__all__ = ["routes"]

Named = Annotated[str, PathParameter(description="The job's name.")]
Days = Annotated[int, QueryParameter(name="days", ge=1, le=400, description="How many days back.")]
SHOWN_MAX = 10_000  # records of growth


@get(
    "/v1/admin/jobs",
    guards=[admins],
    summary="The jobs of the deployment, and when each is due",
    opt=documented("Running it", operation_schemas.JobPage),
)
async def jobs(request: ApiRequest) -> Response[bytes]:
    now = datetime.now(UTC)
    async with request.services.db.transaction("write") as conn:
        known = await standings(conn, JOBS)
        last = {job.name: await history(conn, name=job.name, limit=1) for job in JOBS}
    items = []
    for job in JOBS:
        standing = known[job.name]
        items.append(
            {
                "name": job.name,
                "about": job.about,
                "every": standing.every,
                "hours": standing.hours,
                "time_zone": standing.time_zone,
                "paused": standing.paused,
                "due_at": due_at(standing, now),
                "last": _shown(last[job.name][0]) if last[job.name] else None,
            }
        )
    return page(request, items, None)


@get(
    "/v1/admin/jobs/{name:str}/runs",
    guards=[admins],
    summary="A job's runs, newest first",
    description="For 400 days.",
    opt=documented("Running it", operation_schemas.JobRunPage),
)
async def runs(request: ApiRequest, name: Named, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    job, position = job_named(unescape(name)), request.position(cursor)
    before = int.from_bytes(position, "big") if position else None
    async with request.services.db.transaction("point") as conn:
        found = await history(conn, name=job.name, before=before, limit=limit + 1)
    following = found[limit - 1].id.to_bytes(8, "big") if len(found) > limit else None
    return page(request, [_shown(run) for run in found[:limit]], following)


@post(
    "/v1/admin/jobs/{name:str}/run",
    guards=[admins],
    status_code=202,
    summary="Have a job run now",
    description="Whichever process looks next runs it, within the setting `maintenance_s`. Asking twice is asking once.",
    opt=documented("Running it", operation_schemas.JobAsked),
)
async def run(request: ApiRequest, name: Named) -> Response[bytes]:
    job = job_named(unescape(name))
    async with request.services.db.transaction("write") as conn:
        await standings(conn, [job])
        await ask(conn, job.name, by=f"key {request.user.key_id}")
    return answer({"name": job.name, "asked": True}, status=202)


@get(
    "/v1/admin/storage",
    guards=[admins],
    summary="How much the tenant stored, day by day",
    description="By tier and kind of table, as PostgreSQL's statistics estimate it once a day; the newest first.",
    opt=documented("Running it", lifecycle_schemas.GrowthPage),
)
async def storage(request: ApiRequest, days: Days = 31) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    since = (datetime.now(UTC) - timedelta(days=days)).date()
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        return page(request, await growth(conn, tenant_id, since=since, limit=SHOWN_MAX), None)


def _shown(run: Run) -> dict[str, object]:
    shown = asdict(run)
    del shown["result"], shown["job"]
    if run.error is not None:
        shown["error"] = "see `milepost jobs history`"
    return shown


routes = [jobs, runs, run, storage]
