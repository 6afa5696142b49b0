"""`/v1/admin/chain`: the head of the tenant's chain, for whoever keeps it elsewhere, and proofs of single activities."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from milepost.access.tenants import find_tenant
from milepost.storage.chain_head import chain_head
from milepost.storage.chain_proof import Proof, prove
from milepost.web import lifecycle_schemas
from milepost.web.activities import id_of
from milepost.web.answers import answer, tagged
from milepost.web.openapi import documented
from milepost.web.parameters import IdInPath
from milepost.web.request import ApiRequest, admins

__all__ = ["routes"]

HeadLink = Annotated[
    int | None,
    QueryParameter(name="head", description="The link of the head that was kept; by default the newest.", ge=1, le=2**63 - 1),
]


@get(
    "/v1/admin/chain",
    guards=[admins],
    summary="The head of the chain",
    description="The newest link, signed. Kept elsewhere, it shows later that nothing before it was made anew: `milepost chain verify --head`. "
    "404 where the model has no chain.",
    opt=documented("Running it", lifecycle_schemas.ChainHead),
)
async def head(request: ApiRequest) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        return tagged(request, await chain_head(conn, tenant_id, request.user.tenant))


@get(
    "/v1/admin/chain/{activity:str}",
    guards=[admins],
    summary="A proof that an activity is in the chain",
    description="What leads from the activity to a head: whoever has kept that head checks it without asking anybody (`milepost chain check`). "
    "Of an activity that is gone it proves when and why. `head`: the link of the head that was kept; by default the newest. 409 where the "
    "activity is not what the chain has of it.",
    opt=documented("Running it", Proof),
)
async def proof(request: ApiRequest, activity: IdInPath, head: HeadLink = None) -> Response[bytes]:
    services, tenant_id, id_ = request.services, request.user.tenant_id, id_of(activity)
    compiled = services.models.current.compiled
    async with services.db.transaction("analytics", tenant_id=tenant_id, snapshot=True) as conn:
        tenant = await find_tenant(conn, request.user.tenant)
        return answer(await prove(conn, tenant, compiled, services.settings, id_, until=head))


routes = [head, proof]
