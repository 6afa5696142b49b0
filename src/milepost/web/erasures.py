"""`/v1/admin/erase`: an actor goes from everything that is read, at once; the answer is the receipt."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import PathParameter

from milepost.access.tenants import find_tenant
from milepost.errors import FieldError, InvalidInput, unknown_fields
from milepost.intake.asking import Asking
from milepost.jobs.erasing import erase_actor, erasure_shown
from milepost.limits import ID_CHARACTERS_MAX
from milepost.web import lifecycle_schemas
from milepost.web.answers import answer, tagged
from milepost.web.bodies import decode_object
from milepost.web.openapi import documented
from milepost.web.request import ApiRequest, admins

__all__ = ["routes"]

Number = Annotated[int, PathParameter(description="The erasure's number.")]
TOTALS = ("keep", "shrink")


@post(
    "/v1/admin/erase",
    guards=[admins],
    status_code=200,
    summary="Erase an actor",
    description="What it did, its names, memberships and own numbers are gone when this answers; what it did until now stays out, however "
    "late it comes. `totals`: whether numbers that count others too keep what it contributed (`keep`, of nobody) or lose it (`shrink`). "
    "409 while a legal hold covers it.",
    opt=documented("Running it", lifecycle_schemas.ErasureShown, body=lifecycle_schemas.ErasureIn),
)
async def erase(request: ApiRequest) -> Response[bytes]:
    actor, totals = _asked(decode_object(await request.whole_body()))
    services, principal = request.services, request.user
    async with services.db.transaction("point") as conn:
        tenant = await find_tenant(conn, principal.tenant)
    lane = Asking(services.queue, services.models.current.version)
    by = f"key {principal.key_id}"
    return answer(await erase_actor(services.db, services.settings, tenant, actor, totals=totals, by=by, lane=lane))


@get(
    "/v1/admin/erasures/{number:int}",
    guards=[admins],
    summary="What became of an erasure",
    opt=documented("Running it", lifecycle_schemas.ErasureShown),
)
async def one(request: ApiRequest, number: Number) -> Response[bytes]:
    tenant_id = request.user.tenant_id
    async with request.services.db.transaction("point", tenant_id=tenant_id) as conn:
        return tagged(request, await erasure_shown(conn, tenant_id, number))


def _asked(body: dict[str, Any]) -> tuple[str, str]:
    faults = unknown_fields(body, ("actor", "totals"))
    actor, totals = body.get("actor"), body.get("totals", "keep")
    if not isinstance(actor, str) or not 0 < len(actor) <= ID_CHARACTERS_MAX or "\0" in actor:
        faults.append(FieldError("/actor", "is required" if actor is None else "must be an actor's id"))
    if totals not in TOTALS:
        faults.append(FieldError("/totals", f"is one of {', '.join(TOTALS)}"))
    if faults:
        raise InvalidInput(errors=tuple(faults))
    return str(actor), str(totals)


routes = [erase, one]
