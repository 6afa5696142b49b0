"""Which jobs there are, in the order in which they run where several are due. To add one: a line here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from milepost.errors import NotFound
from milepost.jobs.erasing import erasures
from milepost.jobs.growth import record_growth
from milepost.jobs.job import Job, Work
from milepost.jobs.retention import retain
from milepost.jobs.reviews import report_capacity, review_indexes, review_vacuum
from milepost.jobs.samples import verify_samples
from milepost.jobs.summary import summarize
from milepost.jobs.views import refresh_views
from milepost.storage.archive import run_once
from milepost.storage.partitions import ahead

__all__ = ["JOBS"]


async def _partitions(work: Work) -> dict[str, Any]:
    return {"made": await ahead(work.owner, datetime.now(UTC), months=work.settings.partitions_ahead_months)}


async def _archive(work: Work) -> dict[str, Any]:
    try:
        return asdict(await run_once(work.db, now=work.now))
    except NotFound:  # no model was applied, so nothing is due
        return {"rows": 0}


JOBS: tuple[Job, ...] = (
    Job(name="partitions", about="Make the partitions of the months ahead.", every="day", run=_partitions),
    Job(
        name="summary",
        about="What came in yesterday, what waits for somebody, how the database is.",
        every="day",
        run=summarize,
    ),
    Job(
        name="archive",
        about="Move what the model's `keep` says is due to the archive.",
        every="day",
        run=_archive,
        timeout_s=12 * 3600.0,
    ),
    Job(
        name="verify",
        about="Recompute a sample of the numbers, and compare a few files of the archive.",
        every="day",
        run=verify_samples,
    ),
    Job(name="growth", about="Record how much each tenant stores, by tier and kind.", every="day", run=record_growth),
    Job(name="erasures", about="Finish erasures that a process left half done.", every="hour", run=erasures),
    Job(name="retention", about="Remove what the model's rules say is over.", every="day", run=retain, timeout_s=6 * 3600.0),
    Job(name="refresh", about="Refresh the app's materialized views.", every="week", run=refresh_views, timeout_s=6 * 3600.0),
    Job(
        name="vacuum_review",
        about="Tables that vacuum does not keep up with; analyse parents.",
        every="week",
        run=review_vacuum,
    ),
    Job(name="index_review", about="Indexes that nobody used.", every="month", run=review_indexes),
    Job(name="capacity", about="What storage grew by, and comes to in a year.", every="quarter", run=report_capacity),
)
