"""What a fork needs: no file open in the moment of it, and a fresh start in the child.

`os.register_at_fork` is for good, so it is done once, for whatever clients there are then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

__all__ = ["watch"]


class Forkable(Protocol):
    def before_fork(self) -> list[Callable[[], None]]:
        """→ what is to be called after it, in the parent."""

    def after_fork_in_child(self) -> None: ...


_clients: WeakSet[Forkable] = WeakSet()
_resume: list[Callable[[], None]] = []


def watch(client: Forkable) -> None:
    """From now on, as long as it lives."""
    _clients.add(client)


def _before() -> None:
    for client in list(_clients):
        _resume.extend(client.before_fork())


def _in_parent() -> None:
    while _resume:
        _resume.pop()()


def _in_child() -> None:
    _resume.clear()
    for client in list(_clients):
        client.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
