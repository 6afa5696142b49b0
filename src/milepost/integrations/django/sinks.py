"""Where the activities of changed rows go. A sink is called inside the transaction of the change, with what `Milepost.log` takes.

`after_commit` hands them to the client when the transaction commits; a rolled back one, also a savepoint, leaves none. Between the commit
and the client's first write to disk a crash loses them: where an activity must exist exactly if its row does, and the row is in milepost's own
PostgreSQL, a sink of one's own can enqueue it on the connection of the transaction.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from django.db import transaction

__all__ = ["Sink", "after_commit"]


class Sink(Protocol):
    """activity: the arguments of `Milepost.log`, complete. using: the alias of the database in which the row changed."""

    def __call__(self, activity: dict[str, Any], *, using: str) -> None: ...


def after_commit(activity: dict[str, Any], *, using: str) -> None:
    """To the client, when the change is committed; at once where there is no transaction."""
    from milepost.integrations.django.conf import client

    transaction.on_commit(partial(client().client.log, **activity), using=using, robust=True)
