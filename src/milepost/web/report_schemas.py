"""What pending lists and reports answer with, for the API's description, as `schemas` has it of the others."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from milepost.web.schemas import Next, ObjectId

__all__ = ["PendingPage"]


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
