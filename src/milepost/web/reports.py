"""`/v1/reports`: the analytics that the model declares, each under the name it has there.

A viewer is answered about a group that it may read, and about itself.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from milepost.model import REPORT_DAYS_MAX
from milepost.rollups.reports.formulas import described
from milepost.rollups.reports.read import Question, read_report
from milepost.web import report_schemas
from milepost.web.answers import tagged
from milepost.web.openapi import documented
from milepost.web.parameters import NARROWED, Cursor, IdInPath, Limit, Narrowed, local_moment
from milepost.web.request import ApiRequest, unescape, views
from milepost.web.viewing import viewing

__all__ = ["routes"]

Within = Annotated[str | None, QueryParameter(name="within", description="Only groups below this one.")]
Days = Annotated[
    int | None,
    QueryParameter(
        name="days",
        ge=1,
        le=REPORT_DAYS_MAX,
        description="So many days: up to today, or from `from` on, or before `to`. As the model says, if absent.",
    ),
]
FirstDay = Annotated[
    str | None,
    QueryParameter(
        name="from", description="From this local date on. A time and a zone may be written, and are not looked at."
    ),
]
LastDay = Annotated[str | None, QueryParameter(name="to", description="Before this local date, as `from` has it.")]


@get(
    "/v1/reports",
    guards=[views],
    summary="The reports there are",
    description="What each can be asked, and each value's formula and unit.",
    opt=documented("Numbers", report_schemas.ReportList),
)
async def list_reports(request: ApiRequest) -> Response[bytes]:
    return tagged(request, {"items": list(described(request.services.models.current.model))})


@get(
    "/v1/reports/{name:str}",
    guards=[views],
    dependencies=NARROWED,
    summary="A report",
    description="Narrowed down by the keys of its source. Days are local, of the group asked about or else of the model's zone, and "
    "end with today unless `to` says otherwise. `GET /v1/reports` tells each value's formula and unit. A viewer is told of a group "
    "that it may read (`group` or `within`), and of itself (`actor`).",
    opt=documented("Numbers", report_schemas.ReportAnswer, data_filters=True),
)
async def report(
    request: ApiRequest,
    name: IdInPath,
    narrowed: NamedDependency[Narrowed],
    within: Within = None,
    days: Days = None,
    since: FirstDay = None,
    until: LastDay = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[bytes]:
    given = {key: text for key, text in asdict(narrowed).items() if text is not None}
    given |= {key: text for key, text in request.query_params.items() if key.startswith("data.")}
    question = Question(keys=given, within=within, days=days, first=local_moment("from", since), last=local_moment("to", until))
    after, now = request.position(cursor), datetime.now(UTC)
    about = given if within is None or "group" in given else given | {"group": within}
    async with viewing(request, about=about, query_class="analytics") as view:
        found = await read_report(
            view.conn, view.tenant_id, view.model, unescape(name), question, now=now, limit=limit, after=after
        )
    position = found["next"]
    following = None if position is None else request.services.cursors.sign(request.question(), position)
    return tagged(request, found | {"next": following})


routes = [list_reports, report]
