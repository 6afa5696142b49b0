"""What pending lists and reports answer with, for the API's description, as `schemas` has it of the others."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from milepost.web.schemas import Next, ObjectId

__all__ = ["PendingPage", "ReportAnswer", "ReportList"]


class PendingRow(Struct):
    """given_id: the activity that gave it. An object that two of the actor's groups were given is there once for each."""

    list: Annotated[str, Meta(description="The pending list's name in the model.")]
    group: str
    object: ObjectId
    given_id: str
    given_at: datetime
    due: datetime | None
    overdue: bool


class PendingPage(Struct):
    items: list[PendingRow]
    next: Next


class ReportItem(Struct):
    """Values stand under their text in the model."""

    values: dict[str, Any]
    keys: dict[str, Any]
    bucket: Annotated[
        str | int | UnsetType,
        Meta(
            description="Where the report is per time: a local date or hour, an hour of the day (0 to 23), a day of the week (1: Monday)."
        ),
    ] = UNSET
    previous: Annotated[dict[str, Any] | UnsetType, Meta(description="The same of as many days before.")] = UNSET
    change: Annotated[
        dict[str, float | int | None] | UnsetType,
        Meta(description="By how much each number grew, as a part of what it was; null: it was nothing."),
    ] = UNSET


class ReportAnswer(Struct):
    """Of days: the first, the one after the last, and whose clock they go by. With `parts`: other reports, by their names."""

    report: str
    next: Next
    items: list[ReportItem] | UnsetType = UNSET
    from_: str | UnsetType = field(default=UNSET, name="from")
    to: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    parts: Annotated[dict[str, Any] | UnsetType, Meta(description="Each an answer as this one.")] = UNSET


class ReportValueShown(Struct):
    value: str
    formula: str
    unit: str


class ReportShown(Struct):
    """What a report can be asked, and how each of its values comes about."""

    name: str
    parts: list[str]
    source: Annotated[
        str | None, Meta(description="The rollup, latest table, pairs, pending list, or memberships that it is from.")
    ]
    by: list[str]
    per: str | None
    days: Annotated[
        int | None, Meta(description="How many, where the question does not say; null: it is of now, or each part has its own.")
    ]
    required: Annotated[
        list[str], Meta(description="The parameters of which one must be given; empty: it can be asked about all.")
    ]
    compare: Literal["previous"] | None
    top: int | None
    order: Literal["down", "up"]
    values: list[ReportValueShown]


class ReportList(Struct):
    items: list[ReportShown]
