"""Within the app's own transaction: activities that exist exactly if the business row does, for an app on the same PostgreSQL.

    from milepost.intake.within import enqueue

    with psycopg.connect(…) as connection:
        connection.execute("INSERT INTO orders …")
        enqueue(connection, "acme", [{"actor": "user-17", "verb": "order", "object": {"kind": "order", "id": "o-9"}}])

They are checked as the HTTP API checks them, under the deployment's current model, and put into the queue by a statement of the
caller's transaction; a loader finds them after its commit, however long that takes, and after a rollback there never was anything.
The app's login needs the role `milepost_app` and nothing else. Needs `milepost[server]`.

All or none: `InvalidInput` names index and field of each mistake, and nothing was written. Further: `NotFound` for a tenant that
is not there, `Forbidden` without the role, `TooLarge` beyond 10,000, `Conflict` outside a transaction, and what PostgreSQL
raises, translated; after any error of PostgreSQL's the transaction can only be rolled back, as always.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import local
from typing import Any

import msgspec

from milepost.errors import Conflict, DatabaseError, FieldError, Forbidden, InvalidInput, NotFound, SchemaMismatch
from milepost.intake.accept import Accepted, Acceptor
from milepost.model import parse_model
from milepost.postgres import AnyConnection, SyncConnection, load_queries, translated, tuple_row

__all__ = ["enqueue", "enqueue_async"]

ACCEPTORS_MAX = 8  # deployments, or versions, that one process knows at a time

_queries = load_queries(__package__, "within.sql")

Version = tuple[int, str]  # of a model, and its fingerprint: numbers alone begin anew in another database
Row = tuple[Any, ...] | None
# What is to be asked, with its values, one after the other; what the caller is answered at the end.
Steps = Generator[tuple[str, dict[str, Any]], Row, int | None]


class _Known(local):
    """By thread, since an acceptor is for one."""

    def __init__(self) -> None:
        self.acceptors: dict[Version, Acceptor] = {}
        self.last: dict[tuple[str, int, str], Version] = {}


_known = _Known()


def enqueue(connection: SyncConnection, tenant: str, activities: Sequence[Mapping[str, Any]]) -> int | None:
    """Put activities (as `POST /v1/activities` takes them) into the queue when the connection's transaction commits.

    tenant: its name. → the batch's number; None for no activities. Two round trips.
    """
    _require_transaction(connection)
    steps = _steps(connection, tenant, activities)
    with _explained(), connection.cursor(row_factory=tuple_row) as cursor:
        row: Row = None
        while True:
            try:
                query, values = steps.send(row)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            row = cursor.execute(query.encode(), values).fetchone()


async def enqueue_async(connection: AnyConnection, tenant: str, activities: Sequence[Mapping[str, Any]]) -> int | None:
    """As `enqueue`, on an `AsyncConnection`."""
    _require_transaction(connection)
    steps = _steps(connection, tenant, activities)
    with _explained():
        async with connection.cursor(row_factory=tuple_row) as cursor:
            row: Row = None
            while True:
                try:
                    query, values = steps.send(row)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                await cursor.execute(query.encode(), values)
                row = await cursor.fetchone()


def _steps(connection: SyncConnection | AnyConnection, tenant: str, activities: Sequence[Mapping[str, Any]]) -> Steps:
    """What both do, without the waiting."""
    database = (connection.info.host, connection.info.port, connection.info.dbname)
    known = _known.last.get(database, (None, None))
    context = yield _queries.context, {"tenant": tenant, "version": known[0], "fingerprint": known[1]}
    if context is None:
        raise NotFound(f"There is no tenant {tenant!r}.", name=tenant)
    tenant_id, version, fingerprint, toml = context
    if version is None:
        raise NotFound("No model has been applied to this database: run `milepost model apply FILE`.")
    accepted = _accepted(_acceptor(database, (version, fingerprint), toml), tenant_id, activities)
    if not accepted.rows:
        return None
    row = yield (
        _queries.enqueue,
        {"tenant": tenant, "model": accepted.model_version, "rows": accepted.rows, "payload": accepted.payload},
    )
    assert row is not None
    return int(row[0])


def _acceptor(database: tuple[str, int, str], version: Version, toml: str | None) -> Acceptor:
    acceptors = _known.acceptors
    if version not in acceptors:
        assert toml is not None, "only what is known comes without its text"
        if len(acceptors) >= ACCEPTORS_MAX:
            acceptors.clear()
            _known.last.clear()
        acceptors[version] = Acceptor(parse_model(toml), version[0])
    _known.last[database] = version
    return acceptors[version]


def _accepted(acceptor: Acceptor, tenant_id: int, activities: Sequence[Mapping[str, Any]]) -> Accepted:
    try:
        body = msgspec.json.encode({"activities": list(activities)})
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"The activities have no form in JSON: {error}", errors=(FieldError("/activities", str(error)),)
        ) from error
    accepted = acceptor.accept(tenant_id, body, datetime.now(UTC))
    if accepted.rejected:
        errors = tuple(FieldError(f"/activities/{one.index}{one.pointer}", one.detail) for one in accepted.rejected)
        first = accepted.rejected[0]
        raise InvalidInput(
            f"{len({one.index for one in accepted.rejected})} of the activities cannot be so; the first mistake is in number "
            f"{first.index}: {first.pointer.removeprefix('/') or 'the activity'}: {first.detail}.",
            errors=errors,
        )
    return accepted


def _require_transaction(connection: SyncConnection | AnyConnection) -> None:
    # 0 is libpq's PQTRANS_IDLE. Without autocommit the driver begins a transaction by itself, which the app has to commit.
    if connection.autocommit and not connection.info.transaction_status:
        raise Conflict("The connection is in autocommit and in no transaction: there is nothing that this could be within.")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        with translated():
            yield
    except DatabaseError as error:
        match error.facts.get("sqlstate"):
            case "42501":
                raise Forbidden("This login may not enqueue here: GRANT milepost_app TO it (docs/client.md).") from error
            case "42883" | "3F000":
                raise SchemaMismatch(
                    "This database has no milepost that can be enqueued in: run `milepost db migrate`."
                ) from error
        raise
