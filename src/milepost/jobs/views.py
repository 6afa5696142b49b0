"""Refreshing the app's own materialized views: beside their readers, those first that others read, and not twice in a moment.

`refresh_views` (a setting) names them: `SCHEMA.VIEW`, or `SCHEMA.*`. One that readers could be shut out of, because no unique index
lets it be refreshed concurrently, is not refreshed and said to be so, but where it is still empty. One that was refreshed within
`refresh_quiet_s` is left alone, however often that is asked for. When one fails, those that read it are left as they were, since they
would only repeat old numbers at a new time; the others go on, and the run has failed.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from time import perf_counter
from typing import Any

from milepost.errors import MilepostError
from milepost.jobs.job import Work
from milepost.postgres import load_queries, translated

__all__ = ["ViewsFailed", "refresh_views"]

_queries = load_queries(__package__, "views.sql")


class ViewsFailed(MilepostError):
    """Some materialized views could not be refreshed."""


async def refresh_views(work: Work) -> dict[str, Any]:
    """`refreshed` with seconds, `quiet`. Raises `ViewsFailed` with each view that could not be refreshed, and why."""
    with translated(work.owner):
        rows = await (await work.owner.execute(_queries.views, {"names": list(work.settings.refresh_views)})).fetchall()
    views = {name: (filled, beside, reads, age_s) for name, filled, beside, reads, age_s in rows}
    order = TopologicalSorter({name: [read for read in view[2] if read in views] for name, view in views.items()})
    refreshed: dict[str, float] = {}
    quiet: list[str] = []
    failed: dict[str, str] = {}
    for name in order.static_order():
        filled, beside, reads, age_s = views[name]
        behind = [read for read in reads if read in failed]
        if age_s is not None and age_s < work.settings.refresh_quiet_s:
            quiet.append(name)
        elif behind:
            failed[name] = f"reads {behind[0]}, which failed"
        elif filled and not beside:
            failed[name] = "has no unique index on plain columns, and would shut out its readers: create one"
        else:
            error, took_s = await _refresh(work, name, concurrently=filled)
            if error is None:
                refreshed[name] = took_s
            else:
                failed[name] = error
    for wanted in work.settings.refresh_views:
        if not any(name == wanted or (name.startswith(wanted.removesuffix("*")) and wanted.endswith(".*")) for name in views):
            failed[wanted] = "is no materialized view of this database"
    if failed:
        told = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise ViewsFailed(f"{len(failed)} of {len(views) or len(failed)} views were not refreshed. {told}", refreshed=refreshed)
    return {"refreshed": refreshed, "quiet": quiet}


async def _refresh(work: Work, name: str, *, concurrently: bool) -> tuple[str | None, float]:
    began = perf_counter()
    error = None
    try:
        with translated(work.owner):
            # The name is as format('%I') quoted it.
            await work.owner.execute(f"REFRESH MATERIALIZED VIEW {'CONCURRENTLY ' if concurrently else ''}{name}".encode())
    except MilepostError as failure:
        if work.owner.closed:
            raise
        error = str(failure)
    took_s = round(perf_counter() - began, 3)
    with translated(work.owner):
        await work.owner.execute(_queries.note, {"view": name, "took_s": took_s, "error": error})
    return error, took_s
