"""Changes through the tenant's lane: queued like activities, done in their order, and awaited for a while.

So an activity that was sent and then changed is changed, loaded or not. A change that is not done after `WAIT_S` is
answered 202 with a receipt: it is durable and will be done.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response

from milepost.access import changes
from milepost.errors import Conflict, FieldError, InvalidInput, MilepostError, NotFound, PreconditionFailed, StoreUnavailable
from milepost.intake.queue import Kind
from milepost.web.answers import answer
from milepost.web.problems import Unprocessable
from milepost.web.request import ApiRequest

__all__ = ["change", "change_access", "named"]

WAIT_S = 5.0


def named(do: str, body: dict[str, Any], **ids: str) -> dict[str, Any]:
    """The command of a body and the ids in its route. Raises `Unprocessable` where the body has those too, and other ones."""
    faults = tuple(
        FieldError(f"/{name}", f"is {value!r} in the route") for name, value in ids.items() if body.get(name, value) != value
    )
    if "do" in body:
        faults = (*faults, FieldError("/do", "is not known here"))
    if faults:
        raise Unprocessable(errors=faults)
    return {**body, **ids, "do": do}


async def change_access(request: ApiRequest, command: dict[str, Any], *, bare: bool = False) -> Response[bytes]:
    """A change of a group, actor or member. What is wrong with it in itself is told before it is queued."""
    try:
        changes.check(command, model=request.services.models.current.model)
    except InvalidInput as error:
        raise Unprocessable(errors=error.errors) from error
    return await change(request, command, bare=bare)


async def change(request: ApiRequest, command: dict[str, Any], *, bare: bool = False) -> Response[bytes]:
    """Queue a command and answer with what it answers. bare: without a body, 204. Raises what it says went wrong."""
    services, principal = request.services, request.user
    receipt = await services.queue.enqueue(
        tenant_id=principal.tenant_id,
        lane=principal.lane,
        kind=Kind.COMMAND,
        model=services.models.current.version,
        rows=1,
        payload=msgspec.json.encode(command),
        may_wait=False,  # its outcome is the answer
    )
    loaded = await services.queue.outcome(receipt.batch_id, WAIT_S)
    if loaded is None:
        return answer({"receipt": services.receipts.sign(principal.tenant_id, receipt.batch_id)}, status=202)
    result = loaded.result or {"status": 500}
    if result["status"] == 202:  # parked, as it was asked for
        return answer(result["body"], status=202, headers={"preference-applied": "respond-async"})
    if result["status"] not in (200, 204):
        raise _error(result)
    if bare or result["status"] == 204:
        return answer(None, status=204)
    return answer(result["body"])


def _error(result: dict[str, Any]) -> MilepostError:
    detail = str(result.get("detail", "The change could not be done; it lies in the dead letters."))
    match result["status"]:
        case 404:
            return NotFound(detail)
        case 409:
            return Conflict(detail)
        case 412:
            return PreconditionFailed(detail, version=result.get("version"))
        case 503:
            return StoreUnavailable(detail)
        case 422:
            errors = tuple(FieldError(one["pointer"], one["detail"]) for one in result.get("errors", ()))
            return Unprocessable(detail, errors=errors)
        case _:
            return MilepostError(detail)
