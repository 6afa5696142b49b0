"""The shapes of versions in the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

__all__ = ["Blamed", "VersionDifference", "VersionPage", "VersionShown"]


class VersionMade(Struct):
    version: int
    at: Annotated[datetime, Meta(description="When it was made; of the first, when the activity was received.")]
    by: Annotated[str | None, Meta(description="The id of the key that made it.")]
    why: str | None


class VersionPage(Struct):
    items: list[VersionMade]
    next: str | None


class VersionShown(VersionMade):
    activity: Annotated[dict[str, Any], Meta(description="All that a correction can change.")]


class VersionDifference(Struct, rename={"from_": "from"}):
    from_: int
    to: int
    patch: Annotated[list[dict[str, Any]], Meta(description="JSON Patch (RFC 6902).")]


class BlamedPart(VersionMade):
    part: Annotated[str, Meta(description="A JSON pointer.")]


class Blamed(Struct):
    items: list[BlamedPart]
