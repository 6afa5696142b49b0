"""Where the activities of changed rows go. A sink is called inside the transaction of the change, with what `Milepost.log` takes.

`after_commit` hands them to the client when the transaction commits; a rolled back one, also a savepoint, leaves none. A crash between
the commit and the client's first write to disk loses them, and so does a model that refuses them.

`Within` puts them into milepost's queue by a statement of that same transaction, where the rows are in milepost's own PostgreSQL: then an
activity exists exactly if its change does. Whatever it cannot enqueue is raised into the save.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from django.db import connections, transaction

__all__ = ["Sink", "Within", "after_commit"]


class Sink(Protocol):
    """activity: the arguments of `Milepost.log`, complete. using: the alias of the database in which the row changed.

    What it raises is a warning, and the save goes on; unless it has an attribute `raises` that is true.
    """

    def __call__(self, activity: dict[str, Any], *, using: str) -> None: ...


class Enqueue(Protocol):
    """`milepost.intake.within.enqueue`, which is given here because the client's package has no server in it."""

    def __call__(self, connection: Any, tenant: str, activities: Sequence[Mapping[str, Any]]) -> object: ...


def after_commit(activity: dict[str, Any], *, using: str) -> None:
    """To the client, when the change is committed; at once where there is no transaction."""
    from milepost.integrations.django.conf import client

    transaction.on_commit(partial(client().client.log, **activity), using=using, robust=True)


class Within:
    """Into milepost's queue, within the transaction of the change. The database must be milepost's, its driver psycopg 3.

    Outside of `transaction.atomic()` Django has committed the row before it tells of it: then the activity has a transaction of its own.
    """

    raises = True

    def __init__(self, enqueue: Enqueue, tenant: str) -> None:
        self._enqueue, self._tenant = enqueue, tenant

    def __call__(self, activity: dict[str, Any], *, using: str) -> None:
        with transaction.atomic(using=using, savepoint=False):
            connection = connections[using]
            connection.ensure_connection()
            self._enqueue(connection.connection, self._tenant, [activity])
