"""What the doctor saw, what shows it, and what would cure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias

__all__ = ["SEVERITIES", "Cure", "Finding", "Severity"]

Severity: TypeAlias = Literal["critical", "warning", "notice"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "notice")  # worst first


@dataclass(frozen=True, kw_only=True)
class Cure:
    """What to do. text: one sentence. statements: SQL in order, each to be run outside a transaction; empty if no SQL cures it.
    operation: the same as an operation of `milepost rollout`, as its file's table. by_hand: one sentence, why no rollout does it. A cure
    has one of the two.
    """

    text: str
    statements: tuple[str, ...] = ()
    operation: Mapping[str, Any] | None = None
    by_hand: str = ""

    def __post_init__(self) -> None:
        assert (self.operation is None) == bool(self.by_hand), f"an operation, or why there is none: {self.text}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with one object.

    check: the check's name, such as `missing_foreign_key_index`. object: what it is about, schema-qualified, such as
    `public.orders.customer_id`. detail: one sentence. evidence: figures by name, with their unit last (`scans_per_s`, `bytes`).
    """

    check: str
    severity: Severity
    object: str
    detail: str
    cure: Cure
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same in every run, whatever the figures: by it a finding is new, standing, cured or come back."""
        return f"{self.check}-{blake2b(self.object.encode(), digest_size=6).hexdigest()}"
