"""What a command answers where it changed nothing: a problem, as the API has it."""

from __future__ import annotations

from typing import Any

from milepost.errors import (
    Conflict,
    InvalidInput,
    MilepostError,
    NotFound,
    ObjectDamaged,
    ObjectMissing,
    PreconditionFailed,
    StoreUnavailable,
)

__all__ = ["Answer", "problem"]

Answer = dict[str, Any]


def problem(error: MilepostError) -> Answer:
    """An error as a command's answer; what is not an answer to the caller is raised further."""
    match error:
        case InvalidInput():
            status = 422
        case NotFound():
            status = 404
        case Conflict():
            status = 409
        case PreconditionFailed():
            status = 412
        case StoreUnavailable() | ObjectMissing() | ObjectDamaged():
            status = 503
        case _:
            raise error
    answer: Answer = {"status": status, "detail": str(error)}
    if isinstance(error, InvalidInput):
        answer["errors"] = [{"pointer": field.pointer, "detail": field.detail} for field in error.errors]
    if isinstance(error, PreconditionFailed):
        answer["version"] = error.facts["version"]
    return answer
