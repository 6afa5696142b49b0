"""The health score, from 100 down, with its arithmetic: so many points for each finding, so many at most for each check.

A critical finding takes 15 points, a warning 5, a notice 1. One check takes at most 30, so that two hundred unused indexes do not hide
what else there is. The score is never below 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from milepost.doctor.finding import SEVERITIES, Finding, Severity

__all__ = ["POINTS", "POINTS_MAX", "Score", "Share", "score_of"]

POINTS: Final[dict[Severity, int]] = {"critical": 15, "warning": 5, "notice": 1}
POINTS_MAX: Final = 30  # of one check


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one check takes. said: `2 × warning (5) = 10`."""

    check: str
    points: int
    said: str


@dataclass(frozen=True, kw_only=True)
class Score:
    value: int
    shares: tuple[Share, ...]

    @property
    def said(self) -> str:
        """The whole sum on one line."""
        total = " ".join(f"− {share.points} {share.check}" for share in self.shares)
        return f"100 {total} = {self.value}" if total else "100"


def score_of(findings: Sequence[Finding]) -> Score:
    shares = []
    for check in dict.fromkeys(finding.check for finding in findings):
        counts = Counter(finding.severity for finding in findings if finding.check == check)
        points = sum(POINTS[severity] * count for severity, count in counts.items())
        said = " + ".join(f"{counts[one]} × {one} ({POINTS[one]})" for one in SEVERITIES if counts[one])
        limited = min(points, POINTS_MAX)
        shares.append(
            Share(check=check, points=limited, said=f"{said} = {points}{f', at most {POINTS_MAX}' if limited < points else ''}")
        )
    shares.sort(key=lambda share: -share.points)
    return Score(value=max(0, 100 - sum(share.points for share in shares)), shares=tuple(shares))
