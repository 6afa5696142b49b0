"""Which models' rows are watched, and what of them is said.

    @milepost_audited(fields=["status", "total", "tags"])         # or exclude=[...]; one of them must be said
    class Order(models.Model): ...

    register(User, exclude=["last_login"], verb={"created": "join"}, group=lambda user: user.team_id)

Only declared fields are read, compared and told; those named like secrets, and those in `mask`, are told without their values. A row
that was saved without a change of a declared field makes no activity. Signals carry it: what writes rows without them (`bulk_create`,
`bulk_update`, `QuerySet.update`, raw SQL, `loaddata`) is not seen.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Field, ManyToManyField, Model

__all__ = ["Action", "Audited", "audited", "begin", "milepost_audited", "register"]

Action = Literal["created", "changed", "deleted"]
VERBS: Mapping[Action, str] = {"created": "create", "changed": "change", "deleted": "delete"}

_AnyModel = TypeVar("_AnyModel", bound=type[Model])


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A registration. fields, many: found when Django has all models."""

    model: type[Model]
    verbs: Mapping[Action, str]
    kind: str
    group: Callable[[Any], str | None] | None
    time: str | None
    masked: frozenset[str]
    include: Collection[str] | None
    exclude: frozenset[str]
    fields: list[Field] = field(default_factory=list)
    many: list[ManyToManyField] = field(default_factory=list)

    def find_fields(self) -> None:
        """Raises ImproperlyConfigured for a name that the model does not have."""
        columns = {one.name: one for one in self.model._meta.concrete_fields}
        many = {one.name: one for one in self.model._meta.many_to_many}
        for name in (*(self.include or ()), *self.exclude, *self.masked, *([self.time] if self.time else ())):
            if name not in columns and name not in many:
                near = difflib.get_close_matches(name, [*columns, *many], 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ImproperlyConfigured(f"milepost: {self.model._meta.label} has no field {name!r}{hint}")
        chosen = {*columns, *many} if self.include is None else set(self.include)
        self.fields[:] = [one for name, one in columns.items() if name in chosen - self.exclude and not one.primary_key]
        self.many[:] = [one for name, one in many.items() if name in chosen - self.exclude]


_registered: dict[type[Model], Audited] = {}


def audited() -> Mapping[type[Model], Audited]:
    """All registrations, by model."""
    return _registered


def register(
    model: _AnyModel,
    *,
    fields: Collection[str] | Literal["__all__"] | None = None,
    exclude: Collection[str] | None = None,
    mask: Collection[str] = (),
    verb: str | Mapping[Action, str] | None = None,
    kind: str | None = None,
    group: Callable[[Any], str | None] | None = None,
    time: str | None = None,
) -> _AnyModel:
    """Watches the rows of a model. → the model.

    fields, exclude: names, many-to-many fields among them; at least one of the two. verb: one for all, or by action; else create, change
    and delete. kind: of the activity's object, else the model's label, `shop.order`. group: from an instance to the group's id.
    time: the field that says when a row was made, for `manage.py milepost backfill`.
    Raises ImproperlyConfigured.
    """
    name = model._meta.label
    if fields is None and exclude is None:
        raise ImproperlyConfigured(
            f'milepost: say which fields of {name} are told: fields=[…], fields="__all__" or exclude=[…]'
        )
    if isinstance(fields, str) and fields != "__all__":
        raise ImproperlyConfigured(f"milepost: fields of {name}: a list of names, or '__all__', not {fields!r}")
    if model in _registered:
        raise ImproperlyConfigured(f"milepost: {name} is registered already")
    if not apps.is_installed("milepost.integrations.django"):
        raise ImproperlyConfigured(
            f"milepost: {name} is registered, but 'milepost.integrations.django' is not in INSTALLED_APPS"
        )
    actions: tuple[Action, ...] = get_args(Action)
    verbs = dict.fromkeys(actions, verb) if isinstance(verb, str) else {**VERBS, **(verb or {})}
    if unknown := set(verbs) - set(actions):
        raise ImproperlyConfigured(f"milepost: verb of {name}: {unknown.pop()!r} is none of {', '.join(actions)}")
    made = Audited(
        model=model,
        verbs=verbs,
        kind=kind or model._meta.label_lower,
        group=group,
        time=time,
        masked=frozenset(mask),
        include=None if fields in (None, "__all__") else fields,
        exclude=frozenset(exclude or ()),
    )
    _registered[model] = made
    if apps.models_ready:
        _begin(made)
    return model


def milepost_audited(**options: Any) -> Callable[[_AnyModel], _AnyModel]:
    """`register` as a decorator of the model's class."""
    return lambda model: register(model, **options)


def begin() -> None:
    """Watches what was registered before Django had all models. Raises ImproperlyConfigured."""
    for one in list(_registered.values()):
        _begin(one)


def _begin(one: Audited) -> None:
    from milepost.integrations.django.rows import watch

    one.find_fields()
    watch(one)
