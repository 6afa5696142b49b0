"""The numbers behind `Counters`, under one lock with the places that activities can be in, so that they always add up."""

from __future__ import annotations

from collections import Counter
from threading import RLock

__all__ = ["Tally"]

REASONS_MAX = 100


class Tally:
    """All fields are read and written under `lock`. (Re-entrant: a signal handler or a finaliser may log, too.)

    taken: out of the app's queue. encoding: of these, not yet in line. turned_away: by `log` itself, never in the queue.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.taken = 0
        self.encoding = 0
        self.turned_away: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.sent = 0
        self.rejected = 0
        self.rejections: Counter[str] = Counter()
        self.retried = 0
        self.spilled = 0
        self.replayed = 0
        self.adopted = 0
        self.adopted_rejected = 0

    def reject(self, reason: str) -> None:
        """One activity. Reasons hold values of the app's; only so many are told apart."""
        self.rejected += 1
        self.rejections[reason if reason in self.rejections or len(self.rejections) < REASONS_MAX else "others"] += 1
