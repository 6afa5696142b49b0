"""What goes over the wire about searches, for the API's description alone: see `schemas`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from milepost.web.activity_schemas import ActivityListed, Included
from milepost.web.schemas import Next

__all__ = ["ActivitiesFound", "ActivityFound", "Extent", "FacetValue"]


class ActivityFound(ActivityListed, kw_only=True):
    highlight: Annotated[
        dict[str, str] | UnsetType,
        Meta(description="With `highlight=true`: field of `data` → HTML around what was found, escaped, its words in <mark>."),
    ] = UNSET


class FacetValue(Struct):
    value: str
    count: int


class Extent(Struct):
    """What a bounded look has seen. all: every match there is; otherwise only the newest, down to `since`."""

    activities: int
    all: bool
    since: datetime | None


class ActivitiesFound(Struct, kw_only=True):
    """`ranked`, `facets` and `counted` where a search asked for them."""

    items: list[ActivityFound]
    next: Next
    included: Included | UnsetType = UNSET
    ranked: Annotated[Extent | UnsetType, Meta(description="With `order=relevance`: which matches were ranked.")] = UNSET
    facets: Annotated[
        dict[str, list[FacetValue]] | UnsetType, Meta(description="The most frequent values of each, of what `counted` says.")
    ] = UNSET
    counted: Extent | UnsetType = UNSET
    covered_from: Annotated[
        datetime | UnsetType | None,
        Meta(
            description="While the index is being filled from history: only activities from here on were searched (null: none "
            "yet). Absent where all were."
        ),
    ] = UNSET
