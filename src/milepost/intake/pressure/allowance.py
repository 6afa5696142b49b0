"""What one tenant may still send in this process: tokens of its rate, and what is left of its quotas.

A request takes as many tokens as it has activities. It is let in when there are as many, or, if it is larger than the whole bucket,
when the bucket is full; then the level goes below zero, so that the rate holds all the same. A quota is never exceeded by a
request that would only fit in part. Tokens and counts of other processes come through `allowances`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from milepost.access.limits import Limits, Use
from milepost.intake.pressure.refusal import LimitReached

__all__ = ["Allowance"]

SHOWN = {"rate": "a second", "per_day": "a day", "per_month": "a month"}


class Allowance:
    """Of one tenant. `uncounted` is what was let in and is not yet added up in PostgreSQL."""

    def __init__(self, limits: Limits, use: Use, *, clock: Callable[[], float], today: Callable[[], datetime]) -> None:
        self._clock = clock
        self._today = today
        self.limits = limits
        self.use = use
        self.uncounted = 0
        self.tokens = 0.0
        self.level = 0.0  # of the shared bucket, when it was last asked
        self.asked_at = float("-inf")
        self.taken_at = clock()

    def learn(self, limits: Limits, use: Use, *, counted: int) -> None:
        """What PostgreSQL says. `use` holds `counted` of what was uncounted here."""
        self.limits, self.use = limits, use
        self.uncounted -= counted

    def needs(self, rows: int) -> float:
        """How many tokens are missing to let so many in."""
        if self.limits.rate is None:
            return 0.0
        return min(rows, self.limits.burst_or_usual) - self.tokens

    def check(self, rows: int) -> None:
        """Raises `LimitReached` where a quota has no room for so many."""
        for name, most, used in (
            ("per_day", self.limits.per_day, self.use.today),
            ("per_month", self.limits.per_month, self.use.this_month),
        ):
            if most is not None and used + self.uncounted + rows > most:
                left = max(0, most - used - self.uncounted)
                raise self._reached(name, f"{left:,} of {most:,} activities {SHOWN[name]} are left", self._until_new(name))

    def take(self, rows: int) -> None:
        """Let so many in. Raises `LimitReached`, and then nothing is taken."""
        self.check(rows)
        if (missing := self.needs(rows)) > 0:
            assert self.limits.rate is not None
            text = f"The rate is {self.limits.rate:g} activities a second"
            raise self._reached("rate", text, max(0.0, missing - max(0.0, self.level)) / self.limits.rate)
        if self.limits.rate is not None:
            self.tokens -= rows
        self.uncounted += rows
        self.taken_at = self._clock()

    def give_back(self, rows: int) -> None:
        """They were let in, and came to nothing."""
        if self.limits.rate is not None:
            self.tokens += rows
        self.uncounted -= rows

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10); empty without limits."""
        policies, now = [], []
        limits, used = self.limits, self.use
        if limits.rate is not None:
            burst = limits.burst_or_usual
            policies.append(f'"rate";q={max(1, int(burst))};w={max(1, round(burst / limits.rate))};qu="activities"')
            left = max(0, int(self.tokens + max(0.0, self.level)))
            now.append(f'"rate";r={left};t={max(1, -int(-(burst - left) // limits.rate))}')
        for name, most, spent, window_s in (
            ("per_day", limits.per_day, used.today, 86_400),
            ("per_month", limits.per_month, used.this_month, 2_592_000),
        ):
            if most is not None:
                policies.append(f'"{name}";q={most};w={window_s};qu="activities"')
                now.append(f'"{name}";r={max(0, most - spent - self.uncounted)};t={int(self._until_new(name))}')
        return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(now)} if policies else {}

    def _reached(self, name: str, text: str, retry_after_s: float) -> LimitReached:
        message = f"{text}: nothing of this request was taken."
        return LimitReached(message, reason=name, retry_after_s=retry_after_s, headers=self.headers())

    def _until_new(self, name: str) -> float:
        """Seconds until the next day or month."""
        now = self._today().astimezone(UTC)
        begin = now.replace(hour=0, minute=0, second=0, microsecond=0)
        following = (
            begin + timedelta(days=1) if name == "per_day" else (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
        )
        return (following - now).total_seconds()
