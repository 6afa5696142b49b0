"""The spilling thread: moves what waits to disk when the server has been away for a while, or memory is half full.

It takes all that waits in memory, oldest first. What the disk does not take stays in memory, and is tried again.
"""

from __future__ import annotations

from milepost.client._breaker import Breaker
from milepost.client._line import Line
from milepost.client._overflow import Overflow

__all__ = ["Spiller"]

LOOK_S = 0.25


class Spiller:
    """`run` until `stop`."""

    def __init__(self, line: Line, overflow: Overflow, breaker: Breaker, spill_after_s: float) -> None:
        self._line = line
        self._overflow = overflow
        self._breaker = breaker
        self._spill_after_s = spill_after_s
        self._stopping = False

    def stop(self) -> None:
        with self._line.pressure:
            self._stopping = True
            self._line.pressure.notify_all()

    def run(self) -> None:
        while not self._stopping:
            with self._line.pressure:
                # While the server is slow to answer we look at the time; else whoever adds the drop too much wakes us.
                self._line.pressure.wait(LOOK_S if self._line.is_half_full() or self._breaker.away_s else None)
                due = self._is_due()
            if due:
                self.run_once()

    def run_once(self) -> bool:
        """Writes all there is. → whether all of it is on disk."""
        batches = self._line.take_to_spill()
        try:
            while batches:
                written = self._overflow.write(batches)
                if not written:
                    break
                self._line.stored(batches[:written])
                batches = batches[written:]
        finally:
            self._line.not_stored()
        return not batches

    def _is_due(self) -> bool:
        if self._stopping or not self._line.has_waiting() or not self._overflow.is_ready:
            return False
        return self._line.is_half_full() or self._breaker.away_s > self._spill_after_s
