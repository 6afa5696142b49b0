"""What goes over the wire about who may do what, for the API's description alone: see `schemas`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from milepost.access.viewer_tokens import LIFE_S_MAX
from milepost.web.schemas import Id

__all__ = ["ViewerTokenIn", "ViewerTokenMade"]


class ViewerTokenIn(Struct):
    actor: Id
    expires_in_s: Annotated[int, Meta(ge=1, le=LIFE_S_MAX, description="3600, if absent.")] | UnsetType = UNSET


class ViewerTokenMade(Struct):
    token: Annotated[str, Meta(description="To be sent as `Authorization: Bearer TOKEN`.")]
    expires_at: datetime
