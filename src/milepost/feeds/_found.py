"""What is known of a list so far: the ids found, and down to where all of them are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

__all__ = ["NOTHING", "Found"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """ids: newest first. end: every id of the list from here up is among them; None: every one there is below where it began."""

    ids: tuple[UUID, ...]
    end: UUID | None

    @classmethod
    def of(cls, ids: Iterable[UUID], end: UUID | None) -> Found:
        """Leaves out what lies below the end."""
        return cls(ids=tuple(sorted((one for one in set(ids) if end is None or one >= end), reverse=True)), end=end)

    def __or__(self, other: Found) -> Found:
        """Of two parts of one list: known is what both know."""
        end = max((one for one in (self.end, other.end) if one is not None), default=None)
        return Found.of((*self.ids, *other.ids), end)

    def page(self, limit: int) -> tuple[tuple[UUID, ...], UUID | None]:
        """What a page shows, and before which id the next one begins; None: this is the last."""
        shown = self.ids[:limit]
        return shown, shown[-1] if len(self.ids) > limit else self.end


NOTHING = Found(ids=(), end=None)
