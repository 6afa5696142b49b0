"""When to try again: exponential backoff with full jitter, and a circuit breaker around it.

Closed: all is well, or a few attempts have failed, each followed by a random pause of at most twice the one before. Open: so many
failed in a row that nothing is sent for the time of a pause; what waits goes to disk. Half-open: one attempt is under way that
decides. The server's Retry-After is a pause's least. Pauses are of the monotonic clock: a wall clock that jumps moves nothing.

Full jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Literal

__all__ = ["Breaker"]

FIRST_PAUSE_S = 0.2
FAILURES_TO_OPEN = 5
RETRY_AFTER_S_MAX = 300.0


class Breaker:
    """Used by one thread; `state` and `away_s` may be read by others."""

    def __init__(
        self, retry_s_max: float, *, clock: Callable[[], float] = monotonic, jitter: Callable[[], float] = random.random
    ) -> None:
        self._retry_s_max = retry_s_max
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._failing_since: float | None = None
        self._trying_since: float | None = None
        self._not_before = float("-inf")

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        if self._failures < FAILURES_TO_OPEN:
            return "closed"
        return "half-open" if self._trying_since is not None else "open"

    @property
    def away_s(self) -> float:
        """For how long the server has not answered as it should: from the first failure, or while an attempt hangs."""
        since = self._failing_since if self._failing_since is not None else self._trying_since
        return 0.0 if since is None else self._clock() - since

    @property
    def wait_s(self) -> float:
        """Until the next attempt; 0: now."""
        return max(0.0, self._not_before - self._clock())

    @property
    def failures(self) -> int:
        """In a row."""
        return self._failures

    def trying(self) -> None:
        self._trying_since = self._clock()

    def succeeded(self) -> None:
        self._failures = 0
        self._failing_since = self._trying_since = None
        self._not_before = float("-inf")

    def failed(self, *, retry_after_s: float | None = None, for_long: bool = False) -> None:
        """for_long: trying again soon will not help; the pause is the longest, and it counts as away for ever."""
        now = self._clock()
        if for_long:
            self._failing_since = float("-inf")
        elif self._failing_since is None:
            self._failing_since = self._trying_since if self._trying_since is not None else now
        self._trying_since = None
        self._failures = max(self._failures + 1, FAILURES_TO_OPEN if for_long else 0)
        most = min(self._retry_s_max, FIRST_PAUSE_S * 2 ** min(self._failures, 30))
        pause = self._retry_s_max * (0.5 + self._jitter() / 2) if for_long else most * self._jitter()
        if retry_after_s is not None:
            pause = max(pause, min(retry_after_s, RETRY_AFTER_S_MAX) * (1 + self._jitter() / 10))
        self._not_before = now + pause
