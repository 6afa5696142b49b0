"""The rows that a model has already, as activities: each as if it were created now, at the time when it was made.

Every activity has a key and a time that depend on its row alone, so that doing it twice, or again after a break, counts each row once.
Rows are read and delivered in batches: no more than one batch waits in memory, and the end says that all of it is with the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Field
from django.utils import timezone

from milepost.integrations.django import conf
from milepost.integrations.django.audit import Audited
from milepost.integrations.django.differences import held, whole
from milepost.integrations.django.rows import activity_of

__all__ = ["backfill"]


def backfill(
    one: Audited,
    *,
    time_field: str | None,
    at: datetime | None,
    actor: str | None,
    batch_rows: int,
    timeout_s: float,
    using: str,
) -> Iterator[int]:
    """Logs all rows, in the order of their keys. → after each batch, how many rows are delivered so far.

    Raises CommandError where a row has no time, and when a batch could not be delivered in time.
    """
    named = _time_field(one, time_field)
    if named is None and at is None:
        raise CommandError(
            f"When was a row of {one.model._meta.label} made? Name the field (--time-field, or time= when it is registered) or a time (--at):"
            " without one, doing it twice would count twice."
        )
    if at is not None and at.tzinfo is None:
        raise CommandError("--at needs a zone, such as 2026-01-01T00:00:00+00:00.")
    if batch_rows < 1:
        raise CommandError("--batch must be 1 or more.")
    client = conf.client()
    rows, last = 0, None
    while True:
        # By key, not by an open cursor: a delivery may take its time, and the database should not wait for it.
        left = one.model._base_manager.using(using).order_by("pk")
        batch = list((left if last is None else left.filter(pk__gt=last))[:batch_rows])
        for instance in batch:
            moment = _moment(getattr(instance, named.attname), at, instance) if named is not None else at
            activity = activity_of(one, "created", instance, whole(held(instance, one.fields), "after", one.masked))
            key = f"backfill:{one.kind}:{instance.pk}"
            client.log(activity.pop("verb"), actor or client.actor, key=key, occurred_at=moment, **activity)
        if batch:
            rows, last = rows + len(batch), batch[-1].pk
            if not client.flush(timeout_s):
                raise CommandError(
                    f"A batch was not delivered within {timeout_s:g} s ({rows} rows in). Start again: it counts once."
                )
            yield rows
        if len(batch) < batch_rows:
            return


def _time_field(one: Audited, name: str | None) -> Field | None:
    """The one that was named, or the one that Django fills when a row is made."""
    fields = {field.name: field for field in one.model._meta.concrete_fields}
    name = name or one.time or next((field.name for field in fields.values() if getattr(field, "auto_now_add", False)), None)
    if name is not None and name not in fields:
        raise CommandError(f"{one.model._meta.label} has no field {name!r}.")
    return fields[name] if name is not None else None


def _moment(value: Any, at: datetime | None, instance: Any) -> datetime:
    if isinstance(value, datetime):
        return value if timezone.is_aware(value) else timezone.make_aware(value)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    if at is None:
        raise CommandError(f"The row {instance.pk} has no time: say one for such rows with --at.")
    return at
