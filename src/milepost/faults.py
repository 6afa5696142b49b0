"""Named points of the path at which a test can kill: `MILEPOST_TEST_FAULT=load.folded:3` kills this process at the third pass.

`MILEPOST_TEST_FAULT_PID` names another process to kill there, such as PostgreSQL's. Nothing happens where the variable is not set: a
point costs a look at a module global. SIGKILL, because what is promised holds at any instant, with no handler run.
"""

from __future__ import annotations

import os
import signal

__all__ = ["POINTS", "reach"]

POINTS = (
    "enqueue.before_commit",
    "enqueue.after_commit",
    "spill.written",
    "spill.moved",
    "spill.dropped",
    "load.contents_kept",
    "load.copied",
    "load.inserted",
    "load.folded",
    "load.before_commit",
    "load.after_commit",
    "fill.folded",
    "search.written",
    "search.before_commit",
    "search.after_commit",
    "search.filled",
    "isolate.loaded",
    "isolate.before_commit",
    "isolate.after_commit",
    "replay.before_commit",
    "replay.after_commit",
    "redis.before_add",
    "redis.after_add",
    "redis.before_take",
    "redis.after_take",
    "relay.before_move",
    "relay.after_move",
    "relay.trimmed",
    "content.written",
    "content.before_commit",
    "content.deleted",
    "file.asked",
    "file.received",
    "file.copied",
    "file.completed",
    "file.deleted",
    "job.begun",
    "archive.written",
    "archive.verified",
    "archive.before_switch",
    "archive.switched",
    "archive.before_drop",
    "archive.dropped",
    "archive.before_thin",
    "archive.thinned",
    "restore.before_copy",
    "restore.copied",
    "restore.before_switch",
    "restore.switched",
    "rollout.step",
    "removal.remembered",
    "removal.removed",
    "erase.step",
    "erase.stepped",
    "erase.cleaned",
    "erase.finished",
)

_wanted, _, _passes = os.environ.get("MILEPOST_TEST_FAULT", "").partition(":")
_victim = int(os.environ.get("MILEPOST_TEST_FAULT_PID", "0")) or os.getpid()
_left = int(_passes or 1)


def reach(point: str) -> None:
    """Pass a named point; kill here if a test asked for it."""
    global _left
    if _wanted != point:
        return
    _left -= 1
    if _left == 0:
        os.kill(_victim, signal.SIGKILL)
