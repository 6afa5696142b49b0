"""The shapes of rollups, latest, pairs and goals in the API's description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from milepost.web.schemas import Next, Number, ObjectId

__all__ = ["Goal", "LatestPage", "LatestRow", "PairPage", "PairRow", "RollupPage", "RollupRow"]


class RollupRow(Struct):
    bucket: Annotated[str | None, Meta(description="Its start in the group's local time; a term by its name; null for `all`.")]
    keys: dict[str, Any]
    values: Annotated[dict[str, Number | str | None], Meta(description="By the text of the model, such as sum(distance_m).")]


class RollupPage(Struct):
    items: list[RollupRow]
    next: Next


class LatestRow(Struct):
    keys: dict[str, Any]
    id: str
    occurred_at: datetime
    values: dict[str, Any]


class LatestPage(Struct):
    items: list[LatestRow]
    next: Next


class PairRow(Struct):
    object: ObjectId
    opened_id: str
    opened_at: datetime
    closed_id: str | None
    closed_at: datetime | None
    seconds: Annotated[float | None, Meta(description="From opened to closed; null: still open.")]


class PairPage(Struct):
    items: list[PairRow]
    next: Next


class Goal(Struct):
    target: Annotated[Number | None, Meta(description="null: the group has no such attribute.")]
    value: Number | None
    percent: Number | None
    remaining: Number | None
    projected_at: Annotated[
        datetime | None, Meta(description="At the pace since the first day that counted; null without a pace, or when reached.")
    ]
