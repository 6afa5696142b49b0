"""What the app is told: each loss by its callback, and what an operator should know by the log `milepost.client`.

Log lines of one kind come at most once a minute, with how many were left out. A callback that raises is logged, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from time import monotonic

from milepost.client.counters import Failure
from milepost.folder import Claim

__all__ = ["Report"]

log = logging.getLogger("milepost.client")

EVERY_S = 60.0


class Report:
    """Never called while a lock is held that `Milepost.log`, or the app's callback, might want."""

    def __init__(self, on_error: Callable[[Failure], object] | None) -> None:
        self._on_error = on_error
        self._lock = Lock()
        self._said: dict[str, tuple[float, int]] = {}

    def failure(self, failure: Failure) -> None:
        if self._on_error is not None:
            try:
                self._on_error(failure)
            except Exception:
                log.exception("on_error raised")
        where = f"{failure.pointer}: " if failure.pointer else ""
        kind = f"{failure.kind} {failure.reason} {failure.pointer}"
        self.say(kind, "%d activities %s (%s): %s%s", failure.count, failure.kind, failure.reason, where, failure.detail)

    def set_aside(self, claim: Claim, error: Exception) -> None:
        """A damaged file, with its new name: never left out."""
        try:
            log.error("the spool file %s is damaged (%s): it was set aside as %s", claim.path, error, claim.set_aside())
        except OSError as problem:
            claim.release()
            log.error("the spool file %s is damaged (%s), and could not be set aside: %s", claim.path, error, problem)

    def say(self, kind: str, message: str, *values: object, level: int = logging.WARNING) -> None:
        now = monotonic()
        with self._lock:
            last, left_out = self._said.get(kind, (float("-inf"), 0))
            if now - last < EVERY_S:
                self._said[kind] = (last, left_out + 1)
                return
            if len(self._said) > 1000:
                self._said.clear()
            self._said[kind] = (now, 0)
        if left_out:
            message += " (and %d more like this before)"
            values = (*values, left_out)
        log.log(level, message, *values)
