"""`/v1/admin/export`: a tenant's or one actor's activities, streamed as lines of JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from milepost.feeds.export import activity_streams, exported
from milepost.storage.filters import Filter
from milepost.web.answers import encode
from milepost.web.openapi import documented
from milepost.web.parameters import OneActor
from milepost.web.request import ApiRequest, admins

__all__ = ["routes"]

Form = Annotated[
    Literal["jsonl", "activitystreams"],
    QueryParameter(name="format", description="As the API shows them, or as ActivityStreams 2.0."),
]


@get(
    "/v1/admin/export",
    guards=[admins],
    summary="All activities, streamed",
    description="Of the tenant, or of one actor: newest first, with their content, what is archived included. A line of JSON each.",
    opt=documented("Running it"),
)
async def export(request: ApiRequest, actor: OneActor = None, format: Form = "jsonl") -> Stream:
    services = request.services
    served, tenant_id = services.models.current, request.user.tenant_id

    async def lines() -> AsyncIterator[bytes]:
        async for one in exported(
            services.db, tenant_id, served.model, served.presenter, Filter(actor=actor), services.contents
        ):
            yield encode(activity_streams(one) if format == "activitystreams" else one) + b"\n"

    return Stream(lines(), media_type="application/x-ndjson")


routes = [export]
