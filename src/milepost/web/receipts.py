"""`/v1/receipts/{receipt}`: what became of a request whose receipt one holds."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from milepost.intake.receipts import batch_state
from milepost.web import activity_schemas
from milepost.web.answers import tagged
from milepost.web.openapi import documented
from milepost.web.parameters import IdInPath
from milepost.web.request import ApiRequest, knows

__all__ = ["routes"]


@get(
    "/v1/receipts/{receipt:str}",
    guards=[knows],
    summary="What became of a request",
    description="`loaded` and `duplicates` are known for some minutes after the load. Any key of the tenant may ask.",
    opt=documented("Activities", activity_schemas.ReceiptShown),
)
async def read_receipt(request: ApiRequest, receipt: IdInPath) -> Response[bytes]:
    tenant_id, lane = request.user.tenant_id, request.user.lane
    batch_id = request.services.receipts.open(tenant_id, receipt)
    async with request.services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        found = await batch_state(conn, tenant_id, lane, batch_id)
    shown: dict[str, Any] = {"receipt": receipt, "state": found.state}
    if found.result is not None:
        shown["result"] = found.result
    elif found.loaded is not None:
        shown |= {"loaded": found.loaded, "duplicates": found.duplicates}
    if found.set_aside:
        shown["set_aside"] = found.set_aside
    return tagged(request, shown)


routes = [read_receipt]
