"""What the shapes of the API's description have in common.

The shapes stand in the `*_schemas` modules beside this one. They are for the description alone: handlers answer with what the layers
below give them, and a test compares that with these.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from milepost import limits

__all__ = ["Id", "Label", "Next", "Number", "ObjectId", "ProblemShown", "Visibility"]

Id = Annotated[str, Meta(min_length=1, max_length=limits.ID_CHARACTERS_MAX)]
Label = Annotated[str, Meta(max_length=limits.LABEL_CHARACTERS_MAX)]
Visibility = Literal["public", "group", "private"]
Next = Annotated[str | None, Meta(description="The `cursor` of the next page; null: there is none.")]
Number = int | float


class ObjectId(Struct):
    kind: Label
    id: Id


class FieldProblem(Struct):
    pointer: Annotated[str, Meta(description="A JSON pointer into the body, or /NAME for a parameter.")]
    detail: str


class ProblemShown(Struct, rename={"kind": "type"}):
    """RFC 9457 problem details."""

    kind: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | UnsetType = UNSET
