"""Work that nobody waits for takes what others leave of the processors."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from threading import get_native_id

__all__ = ["ONE_PROCESSOR", "give_way"]

NICE = 19
ONE_PROCESSOR = {"max_parallel_workers_per_gather": "0"}  # a session's, whose statements take one processor at most


def give_way() -> None:
    """This thread, and those that it starts, come after all others. Elsewhere than on Linux, where only processes have priorities, nothing."""
    if sys.platform == "linux":
        with suppress(PermissionError):  # in a sandbox
            os.setpriority(os.PRIO_PROCESS, get_native_id(), NICE)
