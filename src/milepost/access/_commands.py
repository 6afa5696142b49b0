"""Commands as typed values: a JSON object in, one frozen value out, or every fault in it at once.

What can be told without the database is told here: fields that are not known, wrong types, ids, times, zones, kinds and
roles that no kind has. What depends on stored state (the kind a group already has, its parents) is `changes.prepare`'s.
A field that is absent leaves what is stored; `UNSET` stands for it.

Raises `InvalidInput` whose `errors` name each field by a JSON pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from msgspec import UNSET, UnsetType

from milepost.access._values import ID_CHARS_MAX, json_fault, parse_time, text_fault, type_fault
from milepost.errors import FieldError, InvalidInput, unknown_fields
from milepost.model import GroupKind, Model, time_zones

__all__ = [
    "ALWAYS",
    "AnswerInvitation",
    "Command",
    "Follow",
    "Invite",
    "PutActor",
    "PutGroup",
    "PutMember",
    "RemoveMember",
    "RevokeInvitation",
    "Unfollow",
    "parse_command",
    "typed_attributes",
]

ALWAYS = "-infinity"  # how "since ever" stands in SQL; in a command it is written "always"

_NAME_CHARS_MAX = 1000
_WORD_CHARS_MAX = 64
_PERMISSIONS_MAX = 100
_ATTRIBUTES_MAX = 200
_ANSWERS = ("accept", "decline")
_FOLLOWED = ("actor", "group", "object")


@dataclass(frozen=True, kw_only=True)
class PutGroup:
    id: str
    kind: str | None
    name: str | UnsetType | None
    parent: str | UnsetType | None
    time_zone: str | UnsetType | None
    status: str | None
    attributes: dict[str, Any] | UnsetType | None
    since: str | None  # as SQL reads it; None: not given


@dataclass(frozen=True, kw_only=True)
class PutActor:
    id: str
    kind: str | UnsetType | None
    name: str | UnsetType | None
    attributes: dict[str, Any] | UnsetType | None


@dataclass(frozen=True, kw_only=True)
class PutMember:
    group: str
    actor: str
    role: str
    permissions: tuple[str, ...]
    since: str | None
    added_by: str | None


@dataclass(frozen=True, kw_only=True)
class RemoveMember:
    group: str
    actor: str
    at: str | None


@dataclass(frozen=True, kw_only=True)
class Follow:
    actor: str
    kind: str  # actor, group or object
    id: str  # of an object: KIND/ID


@dataclass(frozen=True, kw_only=True)
class Unfollow:
    actor: str
    kind: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Invite:
    group: str
    actor: str
    role: str
    permissions: tuple[str, ...]
    by: str | None  # the actor that invites, whose rights are looked at
    invited_by: str | None  # who it was, where nobody invites by name
    expires_at: str


@dataclass(frozen=True, kw_only=True)
class AnswerInvitation:
    group: str
    actor: str
    answer: str  # accept or decline


@dataclass(frozen=True, kw_only=True)
class RevokeInvitation:
    group: str
    actor: str


Command = PutGroup | PutActor | PutMember | RemoveMember | Follow | Unfollow | Invite | AnswerInvitation | RevokeInvitation


class _Fields:
    """Reads one object's fields and collects what is wrong with them."""

    def __init__(self, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
        self.given = given
        self.errors = unknown_fields((name for name in given if name != "do"), known)

    def fault(self, name: str, detail: str) -> None:
        self.errors.append(FieldError(f"/{_escaped(name)}", detail))

    def text(self, name: str, chars_max: int, *, required: bool = False) -> str | UnsetType | None:
        value = self.given.get(name, UNSET)
        if value is UNSET or value is None:
            if required:
                self.fault(name, "is required")
            return None if value is None else UNSET
        detail = text_fault(value, chars_max)
        if detail:
            self.fault(name, detail)
        return UNSET if detail else str(value)

    def required(self, name: str, chars_max: int = ID_CHARS_MAX) -> str:
        value = self.text(name, chars_max, required=True)
        return value if isinstance(value, str) else ""

    def optional(self, name: str, chars_max: int) -> str | None:
        """For what cannot be taken away again: null means what absence means."""
        value = self.text(name, chars_max)
        return value if isinstance(value, str) else None

    def moment(self, name: str) -> str | None:
        value = self.given.get(name)
        if value is None:
            return None
        if value == "always":
            return ALWAYS
        moment = value if isinstance(value, datetime) else parse_time(value)
        if moment is None or moment.tzinfo is None:
            self.fault(name, 'must be an RFC 3339 time with a zone, such as "2026-03-01T07:12:00Z", or "always"')
            return None
        try:
            return moment.astimezone(UTC).isoformat()
        except OverflowError:
            self.fault(name, "must lie in the years 1 to 9999")
            return None

    def attributes(self) -> dict[str, Any] | UnsetType | None:
        value = self.given.get("attributes", UNSET)
        if value is UNSET or value is None:
            return None if value is None else UNSET
        if not isinstance(value, dict):
            self.fault("attributes", "must be an object")
            return UNSET
        if len(value) > _ATTRIBUTES_MAX:
            self.fault("attributes", f"must have at most {_ATTRIBUTES_MAX} members")
            return UNSET
        for key, item in value.items():
            detail = text_fault(key, ID_CHARS_MAX) or json_fault(item)
            if detail:
                self.errors.append(FieldError(f"/attributes/{_escaped(key)}", detail))
        return value

    def done(self) -> None:
        if self.errors:
            raise InvalidInput(errors=tuple(self.errors))


def parse_command(given: Mapping[str, Any], *, model: Model) -> Command:
    """The command that a JSON object means. Raises `InvalidInput` with all that is wrong with it."""
    do = given.get("do")
    parse = _PARSERS.get(do) if isinstance(do, str) else None
    if parse is None:
        near = get_close_matches(str(do), _PARSERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(errors=(FieldError("/do", f"{do!r} is not one of {', '.join(_PARSERS)}{hint}"),))
    return parse(given, model)


def typed_attributes(attributes: Mapping[str, Any], kind: GroupKind) -> list[FieldError]:
    """What is wrong with the attributes that the kind declares; what it does not declare may be anything."""
    faults = []
    for name, declared in kind.attributes.items():
        value = attributes.get(name)
        detail = None if value is None else type_fault(value, declared)
        if detail:
            faults.append(FieldError(f"/attributes/{_escaped(name)}", detail))
    return faults


def _put_group(given: Mapping[str, Any], model: Model) -> PutGroup:
    fields = _Fields(given, ("id", "kind", "name", "parent", "time_zone", "status", "attributes", "since"))
    command = PutGroup(
        id=fields.required("id"),
        kind=fields.optional("kind", _WORD_CHARS_MAX),
        name=fields.text("name", _NAME_CHARS_MAX),
        parent=fields.text("parent", ID_CHARS_MAX),
        time_zone=fields.text("time_zone", _WORD_CHARS_MAX),
        status=fields.optional("status", _WORD_CHARS_MAX),
        attributes=fields.attributes(),
        since=fields.moment("since"),
    )
    if command.kind is not None and model.groups and command.kind not in model.groups:
        fields.fault("kind", f"{command.kind!r} is not a kind of group; known are {_listed(model.groups)}")
    if isinstance(command.time_zone, str) and command.time_zone not in time_zones():
        fields.fault("time_zone", f"{command.time_zone!r} is not a time zone, such as 'Europe/Berlin'")
    if command.id and command.parent == command.id:
        fields.fault("parent", "a group cannot be its own parent")
    fields.done()
    return command


def _put_actor(given: Mapping[str, Any], model: Model) -> PutActor:
    fields = _Fields(given, ("id", "kind", "name", "attributes"))
    command = PutActor(
        id=fields.required("id"),
        kind=fields.text("kind", _WORD_CHARS_MAX),
        name=fields.text("name", _NAME_CHARS_MAX),
        attributes=fields.attributes(),
    )
    fields.done()
    return command


def _put_member(given: Mapping[str, Any], model: Model) -> PutMember:
    fields = _Fields(given, ("group", "actor", "role", "permissions", "since", "added_by"))
    role, permissions = _role_and_permissions(fields, model)
    command = PutMember(
        group=fields.required("group"),
        actor=fields.required("actor"),
        role=role,
        permissions=permissions,
        since=fields.moment("since"),
        added_by=fields.optional("added_by", ID_CHARS_MAX),
    )
    fields.done()
    return command


def _role_and_permissions(fields: _Fields, model: Model) -> tuple[str, tuple[str, ...]]:
    permissions = fields.given.get("permissions") or []
    if not isinstance(permissions, list) or len(permissions) > _PERMISSIONS_MAX:
        fields.fault("permissions", f"must be a list of at most {_PERMISSIONS_MAX} words")
        permissions = []
    for index, word in enumerate(permissions):
        detail = text_fault(word, _WORD_CHARS_MAX)
        if detail:
            fields.errors.append(FieldError(f"/permissions/{index}", detail))
    role = fields.required("role", _WORD_CHARS_MAX)
    known = {name for kind in model.groups.values() for name in kind.roles}
    # A kind without roles takes any; which kind it is, only the database may know.
    if role and known and all(kind.roles for kind in model.groups.values()) and role not in known:
        fields.fault("role", f"{role!r} is not a role of any kind of group; known are {_listed(known)}")
    return role, () if fields.errors else tuple(sorted(set(permissions)))


def _remove_member(given: Mapping[str, Any], model: Model) -> RemoveMember:
    fields = _Fields(given, ("group", "actor", "at"))
    command = RemoveMember(group=fields.required("group"), actor=fields.required("actor"), at=fields.moment("at"))
    fields.done()
    return command


def _follow(given: Mapping[str, Any], model: Model) -> Follow:
    return Follow(**_followed(given))


def _unfollow(given: Mapping[str, Any], model: Model) -> Unfollow:
    return Unfollow(**_followed(given))


def _followed(given: Mapping[str, Any]) -> dict[str, str]:
    fields = _Fields(given, ("actor", "kind", "id"))
    actor, kind = fields.required("actor"), fields.required("kind", _WORD_CHARS_MAX)
    target = fields.required("id", _WORD_CHARS_MAX + 1 + ID_CHARS_MAX if kind == "object" else ID_CHARS_MAX)
    if kind and kind not in _FOLLOWED:
        fields.fault("kind", f"{kind!r} is not one of {', '.join(_FOLLOWED)}")
    if kind == "object" and target:
        named, slash, one = target.partition("/")
        if not (named and slash and one):
            fields.fault("id", "must be KIND/ID, such as workout/w-55, where the kind is object")
        elif len(named) > _WORD_CHARS_MAX or len(one) > ID_CHARS_MAX:
            fields.fault("id", f"must be KIND/ID, of at most {_WORD_CHARS_MAX} and {ID_CHARS_MAX} characters")
    if kind == "actor" and actor and target == actor:
        fields.fault("id", "an actor cannot follow itself")
    fields.done()
    return {"actor": actor, "kind": kind, "id": target}


def _invite(given: Mapping[str, Any], model: Model) -> Invite:
    fields = _Fields(given, ("group", "actor", "role", "permissions", "by", "invited_by", "expires_at"))
    role, permissions = _role_and_permissions(fields, model)
    expires_at = fields.moment("expires_at")
    if given.get("expires_at") is None:
        fields.fault("expires_at", "is required")
    elif expires_at == ALWAYS:
        fields.fault("expires_at", "must be a time")
    command = Invite(
        group=fields.required("group"),
        actor=fields.required("actor"),
        role=role,
        permissions=permissions,
        by=fields.optional("by", ID_CHARS_MAX),
        invited_by=fields.optional("invited_by", ID_CHARS_MAX),
        expires_at=expires_at or "",
    )
    fields.done()
    return command


def _answer_invitation(given: Mapping[str, Any], model: Model) -> AnswerInvitation:
    fields = _Fields(given, ("group", "actor", "answer"))
    command = AnswerInvitation(
        group=fields.required("group"), actor=fields.required("actor"), answer=fields.required("answer", _WORD_CHARS_MAX)
    )
    if command.answer and command.answer not in _ANSWERS:
        fields.fault("answer", f"{command.answer!r} is not one of {', '.join(_ANSWERS)}")
    fields.done()
    return command


def _revoke_invitation(given: Mapping[str, Any], model: Model) -> RevokeInvitation:
    fields = _Fields(given, ("group", "actor"))
    command = RevokeInvitation(group=fields.required("group"), actor=fields.required("actor"))
    fields.done()
    return command


_PARSERS: dict[str, Callable[[Mapping[str, Any], Model], Command]] = {
    "put_group": _put_group,
    "put_actor": _put_actor,
    "put_member": _put_member,
    "remove_member": _remove_member,
    "follow": _follow,
    "unfollow": _unfollow,
    "invite": _invite,
    "answer_invitation": _answer_invitation,
    "revoke_invitation": _revoke_invitation,
}


def _listed(words: Mapping[str, object] | set[str]) -> str:
    return ", ".join(sorted(words))


def _escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
