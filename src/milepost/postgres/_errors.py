"""Driver errors become milepost's here, and nowhere else. The cause is kept; what PostgreSQL said of it becomes facts.

Facts of a translated error, where PostgreSQL gave them: `sqlstate`, `constraint`, `table`, `column`, `detail`, `hint`.

A closed connection counts for more than the SQLSTATE: a server that goes down in mid-statement can answer with any
code, and with Citus a dead worker shows as 08006 on a client connection that is still open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from milepost.errors import Conflict, DatabaseError, DatabaseUnavailable, MilepostError, Timeout

__all__ = ["is_closed", "is_transient", "translate", "translated"]

# By SQLSTATE, or by its first two characters (the class); the longest match decides.
KINDS: dict[str, type[MilepostError]] = {
    "08": DatabaseUnavailable,  # connection exceptions
    "23505": Conflict,  # unique_violation
    "23P01": Conflict,  # exclusion_violation
    "53": DatabaseUnavailable,  # out of disk, memory or connections
    "55P03": Timeout,  # lock_not_available: lock_timeout, or NOWAIT
    "57014": Timeout,  # query_canceled: statement_timeout, or somebody cancelled it
    "57P01": DatabaseUnavailable,  # admin_shutdown
    "57P02": DatabaseUnavailable,  # crash_shutdown
    "57P03": DatabaseUnavailable,  # cannot_connect_now
    "57P05": DatabaseUnavailable,  # idle_session_timeout
    "25P03": DatabaseUnavailable,  # idle_in_transaction_session_timeout: it ends the session
    "25P04": DatabaseUnavailable,  # transaction_timeout, likewise (PostgreSQL 17 and later)
}

# The transaction was fine and met another one: the same again may well succeed.
COLLISIONS = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected

FACTS = {"constraint": "constraint_name", "table": "table_name", "column": "column_name"}


def translate(error: BaseException, connection: psycopg.AsyncConnection[Any] | None = None) -> MilepostError:
    """The error of milepost's tree for an error of the driver or its pool (one that is milepost's already stays
    itself).

    With the connection it came from, also looks whether that is closed.
    """
    if isinstance(error, MilepostError):
        return error
    if isinstance(error, PoolTimeout | PoolClosed):
        return chained(Timeout if isinstance(error, PoolTimeout) else DatabaseUnavailable, error, {})
    if not isinstance(error, psycopg.Error):
        raise TypeError(f"not an error of the driver: {error!r}") from error
    state = error.sqlstate
    facts: dict[str, Any] = {"sqlstate": state}
    for name, field in FACTS.items():
        facts[name] = getattr(error.diag, field)
    facts["detail"] = error.diag.message_detail
    facts["hint"] = error.diag.message_hint
    facts = {name: value for name, value in facts.items() if value is not None}
    kind = KINDS.get(state or "") or KINDS.get((state or "")[:2]) or DatabaseError
    if (connection is not None and connection.closed) or (state is None and isinstance(error, psycopg.OperationalError)):
        # Without a SQLSTATE it is libpq's own: it could not connect, or lost the connection.
        kind = DatabaseUnavailable
    return chained(kind, error, facts)


def chained(kind: type[MilepostError], cause: BaseException, facts: dict[str, Any]) -> MilepostError:
    diagnosis = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    made = kind(diagnosis or str(cause).strip() or type(cause).__name__, **facts)
    made.__cause__ = cause
    return made


@contextmanager
def translated(connection: psycopg.AsyncConnection[Any] | None = None) -> Iterator[None]:
    """Translates what the block raises. For connections of `Database.direct` and `owner`, and around a savepoint.

    `Database.transaction` does it by itself, at its end: inside of it, statements raise the driver's errors.
    """
    try:
        yield
    except (psycopg.Error, PoolTimeout, PoolClosed) as error:
        made = translate(error, connection)
        raise made from error


def is_closed(error: BaseException) -> bool:
    """Whether the connection is gone, so that the same work needs another one."""
    return isinstance(error, DatabaseUnavailable) or (
        isinstance(error, psycopg.Error) and isinstance(translate(error), DatabaseUnavailable)
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same work, done again from its start, may succeed. Never so for the caller's own mistakes."""
    if is_closed(error):
        return True
    state = error.sqlstate if isinstance(error, psycopg.Error) else getattr(error, "sqlstate", None)
    return state in COLLISIONS
