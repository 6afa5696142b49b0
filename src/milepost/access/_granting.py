"""What gives a membership the right to an action, by the model: the condition in SQL, and what the model grants as its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

from milepost.model import Model
from milepost.postgres import load_queries

_queries = load_queries(__package__, "viewer.sql")


def granted(action: LiteralString) -> LiteralString:
    """The condition on a membership `m` and its group `o`. action: an expression of type text. Needs `granting`'s parameters."""
    return _queries.granted.replace("{action}", action)


def granting(model: Model, actions: Iterable[str]) -> dict[str, Any]:
    """What the model grants of these actions."""
    asked = frozenset(actions)
    kinds = model.groups.values()
    return {
        "roles": [f"{one}.{kind.name}.{role}" for kind in kinds for role, has in kind.roles.items() for one in asked & {*has}],
        "sets": [
            f"{one}.{kind.name}.{named}" for kind in kinds for named, has in kind.permissions.items() for one in asked & {*has}
        ],
        "kinds_with_roles": [kind.name for kind in kinds if kind.roles],
    }
