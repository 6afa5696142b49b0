"""The sending thread: what stands first goes to the server, until the server has said what became of each activity.

A batch that the server calls invalid as a whole, or too large, is halved until the ones at fault stand alone: they are rejected, the
others go on. Whatever else goes wrong, the batch is kept and tried again (`_breaker`). A key that is refused, or an address
where no milepost is, is said loudly, and kept as well: somebody can put that right.
"""

from __future__ import annotations

import json
import logging
import zlib
from typing import Any

from milepost.client._batch import Batch
from milepost.client._breaker import Breaker
from milepost.client._line import Line
from milepost.client._report import Report
from milepost.client._server import Refused, Server, Taken, TooMuch, Unavailable
from milepost.client._sources import Orphans, Source
from milepost.client.counters import Failure

__all__ = ["Sender"]

LOUD_AFTER = 3  # failures in a row: what the first retries mend need not be told


class Sender:
    """`run` until `stop`. `own` comes in turn with `orphans`, so that neither holds up the other."""

    def __init__(self, line: Line, own: Source, orphans: Orphans, server: Server, breaker: Breaker, report: Report) -> None:
        self._line = line
        self._own = own
        self._orphans = orphans
        self._server = server
        self._breaker = breaker
        self._report = report
        self._stopping = False
        self._orphans_turn = True

    def stop(self) -> None:
        """Ends `run` soon, also in the middle of a request."""
        with self._line.changed:
            self._stopping = True
            self._line.changed.notify_all()
        self._server.abort()

    def run(self) -> None:
        while not self._stopping:
            self.run_once()
        self._server.close()

    def run_once(self) -> None:
        """Waits until there is something to be sent and the time to send it, and sends one batch."""
        with self._line.changed:
            wait_s = self._breaker.wait_s
            if wait_s > 0:
                self._line.changed.wait(wait_s)
                return
        for source in self._in_turn():
            batch = source.take()
            if batch is not None:
                self._deliver(source, batch)
                return
        with self._line.changed:
            if not self._stopping and not self._line.is_ready:
                self._line.changed.wait(self._orphans.look_s)

    def _in_turn(self) -> tuple[Source, Source]:
        self._orphans_turn = not self._orphans_turn
        return (self._orphans, self._own) if self._orphans_turn else (self._own, self._orphans)

    def _deliver(self, source: Source, batch: Batch) -> None:
        """Sends a batch, in pieces if need be, and tells its source what became of it."""
        try:
            waiting = [batch]
            done = sent = 0
            rejected: list[Failure] = []
            while waiting and not self._stopping:
                piece = waiting.pop(0)
                answer = self._post(piece)
                match answer:
                    case Taken():
                        rejected += [_rejected(piece, *one) for one in answer.rejected]
                        sent += piece.rows - len(answer.rejected)
                    case TooMuch() if piece.rows == 1:
                        rejected.append(_rejected(piece, 0, answer.pointer, answer.detail))
                    case TooMuch():
                        lines, middle = piece.lines(), piece.rows // 2
                        waiting = [Batch.of(0, lines[:middle]), Batch.of(0, lines[middle:]), *waiting]
                        continue
                    case _:
                        break
                done += piece.rows
            left = None if done == batch.rows else batch if done == 0 else batch.without(done)
        except zlib.error as error:
            # Its checksum was right, so it was written like this: not to be expected, and not to be sent for ever.
            whole = Failure(kind="rejected", reason="rejected", detail=f"it cannot be read: {error}")
            left, sent, rejected = None, 0, [whole] * batch.rows
        if source.settle(batch, left, sent, rejected):
            for failure in rejected:
                self._report.failure(failure)

    def _post(self, piece: Batch) -> Taken | TooMuch | Refused | Unavailable:
        breaker = self._breaker
        if breaker.failures:
            with self._line.tally.lock:
                self._line.tally.retried += 1
        breaker.trying()
        self._wake_spiller()
        answer = self._server.post(piece.body(), piece.rows)
        match answer:
            case Taken() | TooMuch():
                if breaker.failures >= LOUD_AFTER:
                    self._report.say("back", "the server is back", level=logging.INFO)
                breaker.succeeded()
            case Refused():
                breaker.failed(for_long=True)
                self._report.say(
                    "refused",
                    "the server takes nothing: %s. Activities are kept, in memory and on disk, as long as they fit",
                    answer.detail,
                    level=logging.ERROR,
                )
            case Unavailable():
                breaker.failed(retry_after_s=answer.retry_after_s)
                if breaker.failures >= LOUD_AFTER:
                    self._report.say(
                        "away", "the server is away: %s. Activities are kept, and sent when it is back", answer.detail
                    )
        self._wake_spiller()
        return answer

    def _wake_spiller(self) -> None:
        """It looks at how long the server has been away."""
        with self._line.pressure:
            self._line.pressure.notify_all()


def _rejected(piece: Batch, index: int, pointer: str, detail: str) -> Failure:
    activity: Any = json.loads(piece.lines()[index])
    return Failure(kind="rejected", reason="rejected", pointer=pointer, detail=detail, activity=activity)
