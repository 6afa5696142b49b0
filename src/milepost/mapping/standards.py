"""The standards that are taken in: what their messages look like here, and what becomes of one of which a map says nothing.

A message is a row: Segment's as its SDKs send it, a CloudEvent as its JSON, an OpenTelemetry log record as docs/standards.md
shows it. Defaults are written in the language of maps, so that a section of `[maps.NAME]` in the model overrides them key by
key; what depends on the model (a verb that fits, its measures, its object) is `milepost.intake.mapped`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from milepost.limits import ID_CHARACTERS_MAX, LABEL_CHARACTERS_MAX
from milepost.mapping.paths import Row

__all__ = ["STANDARDS", "Standard"]

Spec = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Standard:
    """chosen_by: the member whose value usually chooses a section. payload: the member that holds what happened, of which
    measures and data are taken; besides: members beside it that go into data. wheres, defaults: by kind of section, under
    what a section says itself. A kind in `always` is made without any section, too.
    """

    name: str
    chosen_by: str
    payload: str
    besides: tuple[str, ...] = ()
    wheres: Mapping[str, Spec] = field(default_factory=dict)
    defaults: Mapping[str, Spec] = field(default_factory=dict)
    always: tuple[str, ...] = ()

    def spec(self, kind: str, said: Row) -> Row:
        """A section with the defaults of what it leaves out. `where` is both: the section's own tests and the kind's."""
        spec = {**self.defaults.get(kind, {}), **said}
        if "groups" in said and "group" not in said:
            spec.pop("group", None)
        where = said.get("where", {})
        if isinstance(where, dict) and (tests := {**self.wheres.get(kind, {}), **where}):
            spec["where"] = tests
        return spec


_KEY: Final = {"shorten": ID_CHARACTERS_MAX}
_SOURCE: Final = {"shorten": LABEL_CHARACTERS_MAX}

SEGMENT: Final = Standard(
    name="segment",
    chosen_by="event",
    payload="properties",
    besides=("name", "category"),
    wheres={
        "activities": {"type": ["track", "page", "screen"]},
        "actors": {"type": "identify"},
        "groups": {"type": "group"},
        "members": {"type": "group"},
    },
    defaults={
        "activities": {
            "key": {"from": "messageId", **_KEY},
            # As the SDK stamped it before its first try: a time corrected by `sentAt` would be another one with each retry.
            "occurred_at": ["{originalTimestamp}", "{timestamp}"],
            "actor": ["{userId}", "{anonymousId}"],
            "group": "{context.groupId}",
            "source": "segment",
        },
        "actors": {"id": ["{userId}", "{anonymousId}"], "name": ["{traits.name}", "{traits.firstName} {traits.lastName}"]},
        "groups": {"id": "{groupId}", "name": "{traits.name}"},
        "members": {
            "group": "{groupId}",
            "actor": ["{userId}", "{anonymousId}"],
            "since": ["{originalTimestamp}", "{timestamp}", "{receivedAt}"],
        },
    },
    always=("actors", "groups", "members"),
)

CLOUDEVENTS: Final = Standard(
    name="cloudevents",
    chosen_by="type",
    payload="data",
    defaults={
        "activities": {
            "key": {"from": "id", **_KEY},
            "occurred_at": "{time}",
            "actor": ["{authid}", "{data.actor.id}", "{data.actor}"],
            "group": ["{data.group.id}", "{data.group}"],
            "source": {"from": "source", **_SOURCE},
        },
    },
)

OTLP: Final = Standard(
    name="otlp",
    chosen_by="event_name",
    payload="attributes",
    besides=("body", "severity_text", "trace_id", "span_id"),
    defaults={
        "activities": {
            "key": "{key}",
            "occurred_at": ["{time}", "{observed_time}"],
            "actor": ['{attributes."enduser.id"}', '{attributes."user.id"}', '{resource."enduser.id"}'],
            "group": '{attributes."group.id"}',
            "source": {"from": 'resource."service.name"', **_SOURCE, "default": "otlp"},
        },
    },
)

STANDARDS: Final[Mapping[str, Standard]] = MappingProxyType({one.name: one for one in (SEGMENT, CLOUDEVENTS, OTLP)})
