"""`/v1/admin/viewer-tokens`: what an app's backend asks for, so that the program of one of its users reads as that actor."""

from __future__ import annotations

from typing import Any

from litestar import Response, post

from milepost.access.viewer_tokens import LIFE_S
from milepost.errors import FieldError, InvalidInput, unknown_fields
from milepost.web import access_schemas
from milepost.web.answers import answer
from milepost.web.bodies import decode_object
from milepost.web.openapi import documented
from milepost.web.request import ApiRequest, mints

__all__ = ["routes"]

FIELDS = ("actor", "expires_in_s")


@post(
    "/v1/admin/viewer-tokens",
    guards=[mints],
    status_code=200,
    summary="Make a viewer token",
    description="It reads as the actor, and does nothing else, until it expires or the key that made it is revoked. With a key of the "
    "scope write or admin.",
    opt=documented("Access", access_schemas.ViewerTokenMade, body=access_schemas.ViewerTokenIn),
)
async def make_viewer_token(request: ApiRequest) -> Response[bytes]:
    actor, life_s = _asked(decode_object(await request.whole_body()))
    made = request.services.viewers.tokens.sign(request.user.tenant_id, actor, request.user.key_id, life_s)
    return answer({"token": made.token, "expires_at": made.expires_at}, headers={"cache-control": "no-store"})


def _asked(body: dict[str, Any]) -> tuple[str, int]:
    faults = unknown_fields(body, FIELDS)
    actor, life_s = body.get("actor"), body.get("expires_in_s", LIFE_S)
    if not isinstance(actor, str):
        faults.append(FieldError("/actor", "is required" if actor is None else "must be text"))
    if isinstance(life_s, bool) or not isinstance(life_s, int):
        faults.append(FieldError("/expires_in_s", "must be a whole number of seconds"))
    if faults or not isinstance(actor, str) or not isinstance(life_s, int):
        raise InvalidInput(errors=tuple(faults))
    return actor, life_s


routes = [make_viewer_token]
