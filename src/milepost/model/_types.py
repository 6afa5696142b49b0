"""The model as frozen values: what the TOML says, checked, with every default filled in.

Nothing here reads text or SQL: `_parse` makes these values, `milepost.schema` compiles them. Names are the user's own
words and are valid identifiers (`[a-z][a-z0-9_]{0,47}`), so that they can stand in column and table names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal

__all__ = [
    "Board",
    "Content",
    "Field",
    "FileRule",
    "Goal",
    "GroupKind",
    "Health",
    "Keep",
    "Latest",
    "Map",
    "Measure",
    "Model",
    "Pair",
    "Pending",
    "Report",
    "Rollup",
    "Snapshots",
    "Term",
    "Value",
    "Verb",
]

_VERB_NAME = re.compile(r"\b([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)\b")

FieldType = Literal["text", "integer", "decimal", "boolean", "time"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that sums exactly: stored as an integer of `10**-scale` units."""

    name: str
    scale: int = 0  # decimal places, 0 to 6
    minimum: int | float | None = None  # in the user's units, inclusive
    maximum: int | float | None = None


@dataclass(frozen=True, kw_only=True)
class Field:
    """A declared field of an activity's `data`. Fields that are not declared pass through untouched."""

    name: str
    type: FieldType = "text"
    scale: int = 0  # of a decimal
    filter: bool = False  # `data.NAME=` works and is served by an index
    search: str | None = None  # the text search configuration, such as "english"


@dataclass(frozen=True, kw_only=True)
class Content:
    """How a verb's `content` is kept."""

    versions: bool = False
    offload_over: int = 4096  # bytes


@dataclass(frozen=True, kw_only=True)
class FileRule:
    """What an activity's files of one name may be. types: media types, or whole families as `image/*`; empty: any."""

    name: str
    types: tuple[str, ...] = ()
    bytes_max: int = 20 * 1024 * 1024
    most: int = 10  # in one activity

    def admits(self, media_type: str) -> bool:
        return not self.types or media_type in self.types or f"{media_type.partition('/')[0]}/*" in self.types


@dataclass(frozen=True, kw_only=True)
class Verb:
    name: str
    object: str | None = None  # the kind of object it is done to; None: any
    measures: dict[str, Measure] = field(default_factory=dict)
    data: dict[str, Field] = field(default_factory=dict)
    search_data: str | None = None  # the text search configuration for every value in `data`, declared or not
    content: Content | None = None
    files: dict[str, FileRule] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the health of a group is told. per_week: how many activities of each member are as good as it gets. weights: of
    `activity`, `breadth`, `trend`.
    """

    source: str  # a rollup by group with distinct(actor)
    days: int = 28
    per_week: int = 2
    weights: dict[str, int] = field(default_factory=lambda: {"activity": 40, "breadth": 40, "trend": 20})


@dataclass(frozen=True, kw_only=True)
class GroupKind:
    name: str
    parent: str | None = None  # the kind that its parent must have
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)  # role -> actions
    permissions: dict[str, tuple[str, ...]] = field(default_factory=dict)  # permission set -> actions
    attributes: dict[str, str] = field(default_factory=dict)  # name -> text, integer, decimal(n), boolean, time
    searched: tuple[str, ...] = ()  # attributes in which groups are searched by `q`, beside name and id
    health: Health | None = None  # None: from the first rollup that can tell it


ValueFunction = Literal[
    "count", "sum", "avg", "weighted_avg", "min", "max", "latest", "distinct", "first_at", "last_at", "share"
]


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of a rollup, such as `sum(distance_m)`; `text` is how the model wrote it (blanks made regular), and how
    it is asked for.

    arguments: `sum`, `avg`, `min`, `max`, `latest`: one measure; `weighted_avg`: measure, weight measure; `distinct`: `actor`,
    `group`, `object`, `source` or a data field as `data.NAME`; `share`: measure, with `comparison` (one of
    `< <= = >= >`) and `threshold` in the user's units; `count`, `first_at`, `last_at`: none.
    """

    function: ValueFunction
    arguments: tuple[str, ...] = ()
    comparison: str | None = None
    threshold: str | None = None  # decimal text
    text: str


@dataclass(frozen=True, kw_only=True)
class Rollup:
    """by: any of tenant, group, actor, verb, object, source, status, or a declared data field as `data.NAME`.

    per: any of hour, day, week, month, all, or the name of a term. `day` is always kept, asked for or not.
    """

    name: str
    of: tuple[str, ...]  # verbs
    by: tuple[str, ...]
    belongs: Literal["addressed", "membership"] = "addressed"
    ancestors: bool = True  # a group key also counts for the group's ancestors
    per: tuple[str, ...] = ("day", "all")
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Latest:
    """One row a key, holding the newest activity of `of`; `by`: group (the addressed one), object, actor."""

    name: str
    of: tuple[str, ...]
    by: tuple[str, ...]
    values: tuple[str, ...]  # measures and `data.NAME`


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An opening activity and the first closing one after it on the same object, with the time between."""

    name: str
    open: tuple[str, ...]  # verbs
    close: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Goal:
    name: str
    rollup: str
    value: Value
    target: str  # "group.ATTRIBUTE" or decimal text
    milestones: tuple[int, ...] = ()  # percent
    per: str = "all"


@dataclass(frozen=True, kw_only=True)
class Term:
    """A named span of local dates; `last` is inclusive."""

    name: str
    first: date
    last: date


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """at_end_of: day, week, month: at the end of each, boards are kept as they stand, of that window and of all time.

    keep: for how long, named ones too; None: until they are forgotten on purpose. top: how many of the best have a row.
    """

    at_end_of: tuple[str, ...] = ()
    keep: str | None = None
    top: int = 1000


@dataclass(frozen=True, kw_only=True)
class Board:
    """within: `group`, `everywhere`, or both. windows: day, week, month, all, or the name of a term."""

    name: str
    rank: Literal["actor", "group"]
    within: tuple[str, ...]
    belongs: Literal["addressed", "membership"] = "addressed"
    ancestors: bool = True  # a group's board also ranks what happens in the groups below it
    by: Value
    of: tuple[str, ...]
    windows: tuple[str, ...]
    scores: tuple[str, ...] = ("public", "group", "private")
    ties: Literal["earliest", "shared"] = "earliest"
    order: Literal["down", "up"] = "down"
    activities_min: int = 1  # who has fewer takes no rank
    snapshots: Snapshots = Snapshots()

    @property
    def by_group(self) -> bool:
        """Whether who belongs where decides over it."""
        return self.rank == "group" or "group" in self.within


@dataclass(frozen=True, kw_only=True)
class Pending:
    """roles: whose members of a group have what it is given; empty: all."""

    name: str
    given: str
    done: tuple[str, ...]
    by: str = "object"
    due: str | None = None  # "VERB.FIELD"
    roles: tuple[str, ...] = ()

    @property
    def due_field(self) -> str | None:
        return None if self.due is None else self.due.partition(".")[2]


@dataclass(frozen=True, kw_only=True)
class Report:
    """values: texts that `read_report_value` reads. hours: of the local day, the second excluded; weekdays: 1 is Monday.

    With `parts`, it is nothing but other reports, answered together.
    """

    name: str
    source: str  # a rollup, latest, pairs or pending, or `memberships`
    by: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    per: str | None = None  # hour, day, week, month, hour_of_day, day_of_week; None: one span
    days: int | None = None  # how long the span is, today included, where nobody asks for another
    hours: tuple[int, int] | None = None
    weekdays: tuple[int, ...] = ()
    compare: Literal["previous"] | None = None
    top: int | None = None
    order: Literal["down", "up"] = "down"
    kind: str | None = None  # only groups of this kind
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Keep:
    """An activity falls under the first entry, in the model's order, that selects it, and else under `default`. What is empty selects all."""

    name: str
    of: tuple[str, ...] = ()  # verbs
    status: tuple[str, ...] = ()
    group: tuple[str, ...] = ()  # kinds of its group
    data: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of declared text fields, the values
    age: Literal["occurred", "last change"] = "occurred"
    hot: str
    archive: str | None = None
    then: Literal["delete", "keep"] = "keep"

    @property
    def narrow(self) -> bool:
        """Whether it selects by more than the verb."""
        return bool(self.status or self.group or self.data)


@dataclass(frozen=True, kw_only=True)
class Map:
    """What the messages of one standard become: sections as TOML gave them, checked, in the language of
    `milepost.mapping`. Of each kind the first whose `where` holds counts.
    """

    name: str  # one of `milepost.mapping.standards.STANDARDS`
    unmapped: Literal["refuse", "drop"] = "refuse"
    activities: tuple[dict[str, Any], ...] = ()
    actors: tuple[dict[str, Any], ...] = ()
    groups: tuple[dict[str, Any], ...] = ()
    members: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Model:
    name: str
    time_zone: str = "UTC"  # of groups that have none of their own, and of rollups without a group key
    filters: tuple[str, ...] = ("verb",)  # which of verb, source, status get an index for listing by them
    chain: bool = False  # whether what becomes of activities is chained by digests (milepost.storage.chain)
    groups: dict[str, GroupKind] = field(default_factory=dict)
    verbs: dict[str, Verb] = field(default_factory=dict)
    rollups: dict[str, Rollup] = field(default_factory=dict)
    latest: dict[str, Latest] = field(default_factory=dict)
    pairs: dict[str, Pair] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    terms: dict[str, Term] = field(default_factory=dict)
    boards: dict[str, Board] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    keep: dict[str, Keep] = field(default_factory=dict)
    maps: dict[str, Map] = field(default_factory=dict)

    def measures(self) -> dict[str, Measure]:
        """Every measure by name: a name has one scale throughout the model, which the check enforces."""
        return {name: measure for verb in self.verbs.values() for name, measure in verb.measures.items()}

    def fields(self) -> dict[str, Field]:
        """Every declared data field by name: it has one type throughout, and is a filter if any verb says so."""
        fields: dict[str, Field] = {}
        for verb in self.verbs.values():
            for name, declared in verb.data.items():
                known = fields.get(name)
                fields[name] = replace(declared, filter=True) if known and known.filter else declared
        return fields

    def verbs_with_files(self) -> tuple[str, ...]:
        return tuple(name for name, verb in self.verbs.items() if verb.files)

    def looked_up(self) -> dict[str, tuple[str, ...]]:
        """Verb → the measures and data fields of it that reports look up by object, as `VERB.NAME`."""
        found: dict[str, set[str]] = {}
        for report in self.reports.values():
            for text in report.values:
                for verb, name in _VERB_NAME.findall(text):
                    declared = self.verbs.get(verb)
                    if report.source in self.latest and declared and name in {**declared.measures, **declared.data}:
                        found.setdefault(verb, set()).add(name)
        return {verb: tuple(sorted(names)) for verb, names in sorted(found.items())}

    def column_fields(self) -> tuple[str, ...]:
        """The data fields that are columns `d_NAME` of the activity table: filters, rollup keys, values and due dates."""
        shown = {value[5:] for latest in self.latest.values() for value in latest.values if value.startswith("data.")}
        shown |= {name for names in self.looked_up().values() for name in names if name in self.fields()}
        shown |= {pending.due_field for pending in self.pending.values() if pending.due_field is not None}
        return tuple(sorted(shown.union(self.indexed_fields())))

    def indexed_fields(self) -> tuple[str, ...]:
        """The data fields that stand in an index, as filters, rollup keys or distinct values, and so must be short."""
        wanted = {name for name, declared in self.fields().items() if declared.filter}
        for rollup in self.rollups.values():
            wanted |= {key[5:] for key in rollup.by if key.startswith("data.")}
            wanted |= {argument[5:] for value in rollup.values for argument in value.arguments if argument.startswith("data.")}
        for board in self.boards.values():
            wanted |= {argument[5:] for argument in board.by.arguments if argument.startswith("data.")}
        return tuple(sorted(wanted))
