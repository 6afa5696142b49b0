"""Under which entry of the model's `keep` an activity falls: the first one, in the model's order, that selects it, else `default`.

A condition on activities `s` for each. Milestones fall under none: they stand as long as they are reached. What a legal hold covers (`HELD`)
stays whatever an entry says, and where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

from milepost.model import Keep, Model

__all__ = ["HELD", "Selection", "selections"]

_NO_MILESTONE: LiteralString = "s.verb <> 'milestone'"
_VERBS: LiteralString = "s.verb = ANY (%(verbs_{n})s)"
_STATUS: LiteralString = "s.status = ANY (%(status_{n})s)"
_GROUP: LiteralString = "EXISTS (SELECT FROM milepost.groups g WHERE g.tenant_id = s.tenant_id AND g.group_id = s.group_id AND g.kind = ANY (%(kinds_{n})s))"
_DATA: LiteralString = "s.data ->> %(field_{n}_{place})s = ANY (%(values_{n}_{place})s)"

# A group's hold covers what is in the groups below it, too, or ever was.
HELD: LiteralString = (
    "EXISTS (SELECT FROM milepost.legal_hold h WHERE h.tenant_id = s.tenant_id AND h.lifted_at IS NULL AND (h.verb IS NULL OR h.verb = s.verb)"
    " AND (h.actor IS NULL OR EXISTS (SELECT FROM milepost.actor a"
    " WHERE a.tenant_id = h.tenant_id AND a.external_id = h.actor AND a.actor_id = s.actor_id))"
    " AND (h.group_name IS NULL OR EXISTS (SELECT FROM milepost.groups g JOIN milepost.group_reach r"
    " ON r.tenant_id = g.tenant_id AND r.ancestor_id = g.group_id WHERE g.tenant_id = h.tenant_id AND g.external_id = h.group_name"
    " AND (r.group_id = s.group_id OR r.group_id = ANY (s.more_groups)))))"
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The activities of one entry. condition: with these parameters; what is NULL is not selected."""

    condition: LiteralString
    parameters: dict[str, Any]


def selections(model: Model) -> dict[str, Selection]:
    """By the entries' names."""
    own = {keep.name: _own(keep, number) for number, keep in enumerate(model.keep.values()) if keep.name != "default"}
    found: dict[str, Selection] = {}
    for name in model.keep:
        before = list(own) if name == "default" else list(own)[: list(own).index(name)]
        conditions: list[LiteralString] = [_NO_MILESTONE]
        conditions += [own[name].condition] if name in own else []
        conditions += [f"({own[other].condition}) IS NOT TRUE" for other in before]
        parameters = {key: value for one in (name, *before) if one in own for key, value in own[one].parameters.items()}
        found[name] = Selection(condition=" AND ".join(conditions), parameters=parameters)
    return found


def _own(keep: Keep, number: int) -> Selection:
    """What it selects by itself, whatever comes before it."""
    n = str(number)
    conditions: list[LiteralString] = []
    parameters: dict[str, Any] = {}
    if keep.of:
        conditions.append(_VERBS.replace("{n}", n))
        parameters[f"verbs_{n}"] = list(keep.of)
    if keep.status:
        conditions.append(_STATUS.replace("{n}", n))
        parameters[f"status_{n}"] = list(keep.status)
    if keep.group:
        conditions.append(_GROUP.replace("{n}", n))
        parameters[f"kinds_{n}"] = list(keep.group)
    for place, (name, values) in enumerate(keep.data.items()):
        # As it was sent: a field that was declared later has its column only once history is taken over.
        conditions.append(_DATA.replace("{n}", n).replace("{place}", str(place)))
        parameters |= {f"field_{n}_{place}": name, f"values_{n}_{place}": list(values)}
    return Selection(condition=" AND ".join(conditions), parameters=parameters)
