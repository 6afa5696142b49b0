"""How far a tenant was loaded when a page was read, as its reader carries it to the marker: signed, like a cursor."""

from __future__ import annotations

from typing import Any

from litestar import Response

from milepost.errors import FieldError, InvalidInput
from milepost.feeds.unread import Place
from milepost.web.request import ApiRequest

__all__ = ["place_of", "with_place"]

HEADER = "milepost-read-to"  # not in the body: its entity tag would change with every load


def with_place(request: ApiRequest, response: Response[Any], place: Place) -> Response[Any]:
    response.headers[HEADER] = request.services.cursors.sign(_question(request), place.to_bytes())
    return response


def place_of(request: ApiRequest, text: object) -> Place:
    """Raises `InvalidInput`."""
    try:
        if isinstance(text, str):
            return Place.from_bytes(request.services.cursors.open(_question(request), text))
    except InvalidInput:
        pass
    raise InvalidInput(
        errors=(FieldError("/to", "is not what the header Milepost-Read-To of one of this viewer's pages said"),)
    )


def _question(request: ApiRequest) -> str:
    return f"{request.user.tenant_id} {request.viewer.actor!r} has read to"
