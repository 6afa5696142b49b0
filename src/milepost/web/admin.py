"""`/v1/admin`: what an administrator asks. Keys and dead letters are the tenant's own; lanes and model the deployment's."""

from __future__ import annotations

from litestar import Response, delete, get

from milepost.access.keys import list_keys, revoke_key
from milepost.intake.queue import Kind, backlog
from milepost.postgres import load_queries
from milepost.web import schemas
from milepost.web.answers import answer, page, tagged
from milepost.web.openapi import documented
from milepost.web.parameters import Cursor, IdInPath, Limit
from milepost.web.request import ApiRequest, admins, unescape

__all__ = ["routes"]

_queries = load_queries(__package__, "admin.sql")


@get(
    "/v1/admin/lanes",
    guards=[admins],
    summary="What each lane has yet to load",
    opt=documented("Running it", schemas.Lanes),
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
    opt=documented("Running it", schemas.KeyPage),
)
async def keys(request: ApiRequest) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        return page(request, list(await list_keys(conn, tenant_id)), None)


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
    "/v1/admin/dead-letters",
    guards=[admins],
    summary="What could not be loaded",
    description="Oldest first. They are kept whole.",
    opt=documented("Running it", schemas.DeadLetterPage),
)
async def dead_letters(request: ApiRequest, limit: Limit = 50, cursor: Cursor = None) -> Response[bytes]:
    tenant_id, position = request.user.tenant_id, request.position(cursor)
    given = {
        "tenant_id": tenant_id,
        "after": int.from_bytes(position, "big") if position else 0,
        "limit": limit + 1,
    }
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        rows = await (await conn.execute(_queries.dead_letters, given)).fetchall()
    items = [
        {
            "batch_id": batch_id,
            "kind": Kind(kind).name.lower(),
            "rows": count,
            "received_at": received_at,
            "failed_at": failed_at,
            "error": error,
        }
        for batch_id, kind, count, received_at, failed_at, error in rows[:limit]
    ]
    return page(request, items, rows[limit - 1][0].to_bytes(8, "big") if len(rows) > limit else None)


@get(
    "/v1/admin/model",
    guards=[admins],
    summary="The model that is served",
    opt=documented("Running it", schemas.ModelShown),
)
async def model(request: ApiRequest) -> Response[bytes]:
    served = request.services.models.current
    return tagged(request, {"version": served.version, "name": served.model.name, "toml": served.toml})


routes = [lanes, keys, revoke, dead_letters, model]
