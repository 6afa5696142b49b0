"""Whose feed a route asks for that only viewers have: the viewer's own, or the one that a key names."""

from __future__ import annotations

from typing import Annotated

from litestar.params import QueryParameter

from milepost.errors import FieldError, Forbidden, InvalidInput
from milepost.web.request import ApiRequest

__all__ = ["Whose", "as_viewer"]

Whose = Annotated[
    str | None,
    QueryParameter(name="actor", description="Whose home it is, where a key asks for itself. A viewer has its own."),
]


async def as_viewer(request: ApiRequest, actor: str | None) -> None:
    """From here on the request reads as a viewer: its own, or the one that a key names. Raises `InvalidInput`, `Forbidden`."""
    viewer = request.viewer
    if viewer.sees_all:
        if actor is None:
            detail = "is required where a key asks for itself: whose home it is"
            raise InvalidInput(errors=(FieldError("/actor", detail),))
        request.scope["user"] = await request.services.viewers.on_behalf(request.user, actor, said_in="/actor")
    elif actor not in (None, viewer.actor):
        raise Forbidden(f"This is read on behalf of {viewer.actor!r}, whose home alone it may ask for.")
