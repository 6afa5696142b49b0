"""The client: an app says what happened, and goes on.

    from milepost import Milepost

    client = Milepost()                                    # MILEPOST_URL and MILEPOST_KEY
    client.log("run", "user-17", object=("workout", "w-55"), group="team-3", measures={"distance_m": 5200})

`log` puts a tuple into a queue and returns; it neither waits nor raises, whatever becomes of the server, the network or the
disk. Three threads do the rest: one makes JSON of what is in the queue (`_gather`), one sends it in batches (`_send`), and one
moves to disk what must not wait in memory (`_spill`). Between them lies the line (`_line`): everything that is accepted and
not yet settled, oldest first. Each activity gets its key and its time before it is first sent, so that whatever is sent again,
after a lost answer or from a file of a process that was killed, counts once.

Only the standard library is needed. docs/client.md is the guide.
"""

from __future__ import annotations

from milepost.client.asynchronous import AsyncMilepost
from milepost.client.client import Milepost
from milepost.client.counters import Counters, Failure
from milepost.client.settings import ClientSettings

__all__ = ["AsyncMilepost", "ClientSettings", "Counters", "Failure", "Milepost"]
