"""Refusals: a request that is not taken now, why, and when to come again."""

from __future__ import annotations

from milepost.errors import MilepostError

__all__ = ["LimitReached", "Overfull", "Refused"]

RETRY_S_MIN = 1


class Refused(MilepostError):
    """Nothing of this request was taken now; it can be sent again."""

    def __init__(self, message: str, *, reason: str, retry_after_s: float, headers: dict[str, str] | None = None) -> None:
        """reason: the limit's name. headers: what the answer says of limits."""
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = max(RETRY_S_MIN, -int(-retry_after_s // 1))
        self.headers = headers or {}


class LimitReached(Refused):
    """The tenant has sent as many activities as it may for now."""


class Overfull(Refused):
    """More waits than should: for memory, or for the loaders."""
