"""`/v1/admin`: what an administrator asks. Keys are the tenant's own; lanes and model the deployment's."""

from __future__ import annotations

from dataclasses import asdict

from litestar import Response, delete, get

from milepost.access.keys import list_keys, revoke_key
from milepost.access.limits import default_limits, read_limits, read_use
from milepost.intake.queue import backlog
from milepost.storage.check import listed, shown
from milepost.web import lifecycle_schemas, operation_schemas
from milepost.web.answers import answer, page, tagged
from milepost.web.openapi import documented
from milepost.web.parameters import IdInPath
from milepost.web.request import ApiRequest, admins, unescape

__all__ = ["routes"]


@get(
    "/v1/admin/lanes",
    guards=[admins],
    summary="What each lane has yet to load",
    opt=documented("Running it", operation_schemas.Lanes),
)
async def lanes(request: ApiRequest) -> Response[bytes]:
    # A connection of its own: the look changes planner settings for its transaction, and may take longer than a page.
    connection = await request.services.db.direct("backlog", settings={"statement_timeout": "10s"})
    try:
        return page(request, list(await backlog(connection)), None)
    finally:
        await connection.close()


@get(
    "/v1/admin/keys",
    guards=[admins],
    summary="The tenant's keys, revoked ones too",
    description="Never the keys themselves, only their first characters.",
    opt=documented("Running it", operation_schemas.KeyPage),
)
async def keys(request: ApiRequest) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        return page(request, list(await list_keys(conn, tenant_id)), None)


@get(
    "/v1/admin/archive",
    guards=[admins],
    summary="The tenant's files in the archive",
    description="In the order of time. Archiving and restoring are the operator's: `milepost archive`.",
    opt=documented("Running it", lifecycle_schemas.ArchivedFiles),
)
async def archive(request: ApiRequest) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        found = await listed(conn, tenant_id)
    return page(request, [shown(file, since) for _, file, since in found], None)


@get(
    "/v1/admin/limits",
    guards=[admins],
    summary="How much the tenant may send, and has sent",
    description="The tenant's own limits, or the deployment's defaults. They are set by the operator: `milepost tenant limit`.",
    opt=documented("Running it", operation_schemas.LimitsShown),
)
async def limits(request: ApiRequest) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    services = request.services
    async with services.db.transaction("point") as conn:
        found = (await read_limits(conn, [tenant_id], default_limits(services.settings)))[tenant_id]
        use = (await read_use(conn, [tenant_id]))[tenant_id]
    here = services.gate.allowances.uncounted(tenant_id)
    return tagged(request, {**asdict(found), "today": use.today + here, "this_month": use.this_month + here})


@delete(
    "/v1/admin/keys/{key_id:str}",
    guards=[admins],
    status_code=200,
    summary="Revoke a key",
    description="Within a second no server takes it any more. Safe twice.",
    opt=documented("Running it"),
)
async def revoke(request: ApiRequest, key_id: IdInPath) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("write", tenant_id=tenant_id) as conn:
        await revoke_key(conn, tenant_id, unescape(key_id))
    return answer(None, status=204)


@get(
    "/v1/admin/model",
    guards=[admins],
    summary="The model that is served",
    opt=documented("Running it", operation_schemas.ModelShown),
)
async def model(request: ApiRequest) -> Response[bytes]:
    served = request.services.models.current
    return tagged(request, {"version": served.version, "name": served.model.name, "toml": served.toml})


routes = [archive, lanes, limits, keys, revoke, model]
