"""The signals of watched models, as activities: `created`, `changed`, `deleted`, with what each field held before and after.

    {"verb": "change", "object": {"kind": "shop.order", "id": "17"},
     "data": {"action": "changed", "changes": {"status": {"before": "new", "after": "paid"}}, "request_id": …}}

What a field held before is read from the database when a save begins, in one query for the declared fields: what the instance was loaded
with may be long gone. (Two saves of a row at one moment may so both name the value that was there before either.) A many-to-many field
shows the keys that were added and removed. Each activity has the time of its change, and goes to the sink within the change's transaction.

Nothing here raises into a save: what goes wrong is a warning of the logger `milepost.integrations`. Except where the sink promises that no
change is without its activity (`Within`): then it must.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.apps import apps
from django.db.models import Field, ManyToManyField, Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from milepost.integrations.django import conf
from milepost.integrations.django.audit import Action, Audited, audited
from milepost.integrations.django.differences import MASK, difference, held, is_secret, plain, stored, whole

__all__ = ["activity_of", "watch"]

_log = logging.getLogger("milepost.integrations")

_BEFORE = "_milepost_before"
_KEYS_MAX = 1_000  # of one change of a many-to-many field

_Receiver = TypeVar("_Receiver", bound=Callable[..., None])


def watch(one: Audited) -> None:
    """Listens to one model, and to its proxies, which have signals of their own. (A listener to all would slow every deletion.)"""
    proxies = [model for model in apps.get_models() if model._meta.proxy and model._meta.concrete_model is one.model]
    for model in (one.model, *(proxy for proxy in proxies if proxy not in audited())):
        for signal, receiver in _receivers(one):
            signal.connect(receiver, sender=model, weak=False, dispatch_uid=("milepost", receiver.__name__, model))
    for field in one.many:
        receiver = functools.wraps(_many_changed)(functools.partial(_many_changed, one, field))
        m2m_changed.connect(
            receiver, sender=field.remote_field.through, weak=False, dispatch_uid=("milepost", one.model, field.name)
        )


def _receivers(one: Audited) -> list[tuple[Any, Any]]:
    pairs = [(pre_save, _saving), (post_save, _saved), (pre_delete, _deleting), (post_delete, _deleted)]
    return [(signal, functools.wraps(receiver)(functools.partial(receiver, one))) for signal, receiver in pairs]


def _harmless(receiver: _Receiver) -> _Receiver:
    @functools.wraps(receiver)
    def guarded(*args: Any, **more: Any) -> None:
        try:
            receiver(*args, **more)
        except Exception:
            if getattr(conf.settings().sink, "raises", False):
                raise
            _log.warning("a change of a row could not be logged", exc_info=True)

    return guarded  # type: ignore[return-value]


@_harmless
def _saving(one: Audited, *, instance: Model, raw: bool, using: str, update_fields: Collection[str] | None, **_: Any) -> None:
    instance.__dict__.pop(_BEFORE, None)
    fields = _told(one, update_fields)
    new = instance._state.adding and (instance.pk is None or instance._meta.pk.has_default())
    if not raw and fields and not new:
        instance.__dict__[_BEFORE] = stored(one.model, instance.pk, fields, using)


@_harmless
def _saved(
    one: Audited, *, instance: Model, created: bool, raw: bool, using: str, update_fields: Collection[str] | None, **_: Any
) -> None:
    before = instance.__dict__.pop(_BEFORE, None)
    fields = _told(one, update_fields)
    if raw or not (created or fields):
        return
    after = held(instance, fields)
    if any(hasattr(value, "resolve_expression") for value in after.values()):  # F("stock") - 1: only the database knows
        after = stored(one.model, instance.pk, fields, using) or {}
    if created:
        _tell(one, "created", instance, whole(after, "after", one.masked), using)
    elif before is not None and (changes := difference(before, after, one.masked)):
        _tell(one, "changed", instance, changes, using)


@_harmless
def _deleting(one: Audited, *, instance: Model, **_: Any) -> None:
    instance.__dict__[_BEFORE] = held(instance, one.fields)


@_harmless
def _deleted(one: Audited, *, instance: Model, using: str, **_: Any) -> None:
    before = instance.__dict__.pop(_BEFORE, {})
    _tell(one, "deleted", instance, whole(before, "before", one.masked), using)


@_harmless
def _many_changed(
    one: Audited,
    field: ManyToManyField,
    *,
    instance: Model,
    action: str,
    reverse: bool,
    pk_set: Collection[Any] | None,
    using: str,
    **_: Any,
) -> None:
    """reverse: `tag.orders.add(order)`; then each of the keys is a row whose field changed by this instance."""
    if action == "pre_clear":  # afterwards nobody knows what there was
        keys = _related(field, instance, reverse, using)
        how = "removed"
    elif action in ("post_add", "post_remove"):
        keys = list(pk_set or ())[:_KEYS_MAX]
        how = "added" if action == "post_add" else "removed"
    else:
        return
    hidden = field.name in one.masked or is_secret(field.name)

    def change(others: Iterable[Any]) -> dict[str, dict[str, Any]]:
        return {field.name: {how: MASK if hidden else [plain(key) for key in others]}}

    if not reverse and keys:
        _tell(one, "changed", instance, change(sorted(keys, key=str)), using)
    elif reverse:
        for row in one.model._base_manager.using(using).filter(pk__in=keys).order_by("pk"):
            _tell(one, "changed", row, change([instance.pk]), using)


def _related(field: ManyToManyField, instance: Model, reverse: bool, using: str) -> list[Any]:
    ours, theirs = field.m2m_field_name(), field.m2m_reverse_field_name()
    if reverse:
        ours, theirs = theirs, ours
    links = field.remote_field.through._base_manager.using(using).filter(**{ours: instance.pk})
    return list(links.values_list(theirs, flat=True)[:_KEYS_MAX])


def _told(one: Audited, update_fields: Collection[str] | None) -> list[Field]:
    if update_fields is None:
        return one.fields
    return [field for field in one.fields if field.name in update_fields or field.attname in update_fields]


def _tell(one: Audited, action: Action, instance: Model, changes: dict[str, Any], using: str) -> None:
    client = conf.client()
    who, around = client.seen()
    activity = activity_of(one, action, instance, changes)
    activity["actor"] = who or client.actor
    activity["data"] = {**around, **activity["data"]}
    activity["occurred_at"] = datetime.now(UTC)
    conf.settings().sink(activity, using=using)


def activity_of(one: Audited, action: Action, instance: Model, changes: dict[str, Any]) -> dict[str, Any]:
    """What a row's activity is made of, but for who did it and when."""
    activity: dict[str, Any] = {
        "verb": one.verbs[action],
        "object": {"kind": one.kind, "id": str(instance.pk)},
        "data": {"action": action, "changes": changes},
    }
    group = one.group(instance) if one.group is not None else None
    if group is not None:
        activity["group"] = str(group)
    return activity
