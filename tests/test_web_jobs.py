"""Jobs over HTTP: when each is due, asked for by hand, its runs; and the growth of the tenant's storage."""

from __future__ import annotations

import msgspec
import pytest

from milepost.jobs.schedule import Schedule
from milepost.web import lifecycle_schemas, operation_schemas
from web_client import Api

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_job_is_asked_for(api: Api) -> None:
    """It is run by the next look of the schedule, by whoever asked, and its answer stays out of sight of tenants."""
    asked = await api("POST", "/v1/admin/jobs/growth/run")
    assert (asked.status_code, asked.json()) == (202, {"name": "growth", "asked": True})
    listed = msgspec.convert(await api.get("/v1/admin/jobs"), operation_schemas.JobPage)
    assert next(job for job in listed.items if job.name == "growth").due_at is not None
    await Schedule(api.services.db, api.services.settings).run_once()
    shown = await api.get("/v1/admin/jobs/growth/runs")
    run = msgspec.convert(shown, operation_schemas.JobRunPage).items[0]
    assert (run.outcome, run.by.startswith("key ")) == ("done", True)
    assert "result" not in shown["items"][0]
    msgspec.convert(await api.get("/v1/admin/storage"), lifecycle_schemas.GrowthPage)


async def test_an_unknown_job(api: Api) -> None:
    """404, for its runs as for running it."""
    assert (await api("GET", "/v1/admin/jobs/nothing/runs")).status_code == 404
    assert (await api("POST", "/v1/admin/jobs/nothing/run")).status_code == 404
