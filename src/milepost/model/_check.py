"""What only the whole model can tell: that what is referred to exists, and that no two parts contradict each
other.

Each check takes the model as read, also a model with mistakes in it, and notes what it finds; an empty text
stands where something could not be read, and is passed over.
"""

from __future__ import annotations

from milepost.model._check_reports import MEMBERS, check_reports
from milepost.model._check_values import ROLLUP_KEYS, Offer, check_verbs
from milepost.model._derived import NO_VALUE
from milepost.model._identifiers import check_identifiers
from milepost.model._lines import Path
from milepost.model._maps import check_maps
from milepost.model._phrases import type_text
from milepost.model._problems import Notes, nearest_word, quoted
from milepost.model._sections import BUCKETS
from milepost.model._time_zones import time_zones
from milepost.model._types import Board, Goal, GroupKind, Keep, Model, Pending, Rollup

__all__ = ["check_model"]


def check_model(model: Model, notes: Notes) -> None:
    _check_time_zone(model, notes)
    _check_parents(model, notes)
    _check_columns(model, notes)
    _check_sources_apart(model, notes)
    check_identifiers(model, notes)
    for rollup in model.rollups.values():
        _check_rollup(model, notes, rollup)
    _check_latest(model, notes)
    _check_pairs(model, notes)
    for goal in model.goals.values():
        _check_goal(model, notes, goal)
    for kind in model.groups.values():
        _check_health(model, notes, kind)
    for board in model.boards.values():
        _check_board(model, notes, board)
    for pending in model.pending.values():
        _check_pending(model, notes, pending)
    check_reports(model, notes)
    _check_keep(model, notes)
    check_maps(model, notes)


def _check_time_zone(model: Model, notes: Notes) -> None:
    if model.time_zone and model.time_zone not in time_zones():
        near = nearest_word(model.time_zone, time_zones())
        message = f"no time zone is called {quoted(model.time_zone)}; write one such as Europe/Berlin"
        notes.add(("time_zone",), "unknown-time-zone", message, near)


def _check_parents(model: Model, notes: Notes) -> None:
    told: set[str] = set()
    for kind in model.groups.values():
        path = ("groups", kind.name, "parent")
        if kind.parent is not None and kind.parent not in model.groups:
            near = nearest_word(kind.parent, model.groups.keys() - {kind.name})
            notes.add(path, "unknown-group-kind", f"no kind of group is called {quoted(kind.parent)}", near)
        chain = [kind.name]
        while (parent := model.groups[chain[-1]].parent) in model.groups and parent not in chain:
            assert parent is not None
            chain.append(parent)
        if parent == kind.name and not told.intersection(chain):
            told.update(chain)
            message = f"a kind cannot be above itself: {' → '.join([*chain, kind.name])}"
            notes.add(path, "parent-cycle", message)


def _check_columns(model: Model, notes: Notes) -> None:
    """A measure's column has one scale and a field's one type, whichever verb it came with."""
    scales: dict[str, tuple[int, str]] = {}
    types: dict[str, tuple[str, str]] = {}
    for verb in model.verbs.values():
        for measure in verb.measures.values():
            scale, owner = scales.setdefault(measure.name, (measure.scale, verb.name))
            if scale != measure.scale:
                message = f"{measure.name} has {measure.scale} decimal places here and {scale} in {owner}"
                path = ("verbs", verb.name, "measures", measure.name)
                notes.add(path, "measure-scale-conflict", f"{message}; give them one scale, or another name")
        for field in verb.data.values():
            type_ = type_text(field.type, field.scale)
            known, owner = types.setdefault(field.name, (type_, verb.name))
            if known != type_:
                message = f"{field.name} is {type_} here and {known} in {owner}"
                path = ("verbs", verb.name, "data", field.name)
                notes.add(path, "field-type-conflict", f"{message}; give them one type, or another name")


def _check_sources_apart(model: Model, notes: Notes) -> None:
    """A report's `from` names one thing."""
    taken: dict[str, str] = {}
    for section in ("rollups", "latest", "pairs", "pending"):
        for name in getattr(model, section):
            if name == MEMBERS:
                message = f"{quoted(name)} is what a report can be from in every model; take another name"
                notes.add((section, name), "reserved-name", message)
            if taken.setdefault(name, section) != section:
                message = f"{taken[name]}.{name} has this name already, and a report could mean either"
                notes.add((section, name), "name-taken", message)


def _check_rollup(model: Model, notes: Notes, rollup: Rollup) -> None:
    path = ("rollups", rollup.name)
    check_verbs(model, notes, (*path, "of"), rollup.of)
    offer = Offer(model, notes, rollup.of)
    for position, key in enumerate(rollup.by):
        offer.check_key((*path, "by", position), key, ROLLUP_KEYS, "a rollup can be kept by")
    if rollup.belongs == "membership" and "group" not in rollup.by and _keys_known(rollup):
        message = "an activity belongs to its actor's groups here, but `by` has no group"
        notes.add((*path, "belongs"), "needs-group", message)
    _check_buckets(model, notes, (*path, "per"), rollup.per, BUCKETS)
    for position, value in enumerate(rollup.values):
        offer.check_value((*path, "values", position), value)


def _keys_known(rollup: Rollup) -> bool:
    """Otherwise what the keys are is not known, and nothing more is said about them."""
    return bool(rollup.by) and all(key in ROLLUP_KEYS or key.startswith("data.") for key in rollup.by)


def _check_buckets(model: Model, notes: Notes, path: Path, buckets: tuple[str, ...], words: tuple[str, ...]) -> None:
    known = (*words, *model.terms)
    for position, bucket in enumerate(buckets):
        if bucket and bucket not in known:
            message = f"{quoted(bucket)} is not one of {', '.join(words)}, nor a term of this model"
            notes.add((*path, position), "unknown-word", message, nearest_word(bucket, known))


def _check_latest(model: Model, notes: Notes) -> None:
    for latest in model.latest.values():
        path = ("latest", latest.name)
        check_verbs(model, notes, (*path, "of"), latest.of)
        offer = Offer(model, notes, latest.of)
        for position, value in enumerate(latest.values):
            place = (*path, "values", position)
            if value.startswith("data."):
                offer.check_field(place, value)
            elif value in offer.fields and value not in offer.measures:
                message = f"{quoted(value)} is a data field, not a measure"
                notes.add(place, "unknown-measure", message, f"data.{value}")
            elif value:
                offer.check_measure(place, value)


def _check_pairs(model: Model, notes: Notes) -> None:
    for pair in model.pairs.values():
        path = ("pairs", pair.name)
        check_verbs(model, notes, (*path, "open"), pair.open)
        check_verbs(model, notes, (*path, "close"), pair.close)
        for position, verb in enumerate(pair.close):
            if verb and verb in pair.open:
                message = f"{verb} opens the pair, so it cannot close it too"
                notes.add((*path, "close", position), "opens-and-closes", message)
        opened, closed = _object_kinds(model, pair.open), _object_kinds(model, pair.close)
        if opened and closed and not opened & closed:
            ends = f"{', '.join(sorted(opened))} and closes {', '.join(sorted(closed))}"
            notes.add((*path, "close"), "objects-apart", f"this opens {ends}: a pair is of one object")


def _object_kinds(model: Model, verbs: tuple[str, ...]) -> set[str]:
    """The kinds of object of the verbs; empty if that is not known, or any."""
    kinds = {model.verbs[verb].object if verb in model.verbs else None for verb in verbs}
    return set() if None in kinds else {kind for kind in kinds if kind is not None}


def _check_goal(model: Model, notes: Notes, goal: Goal) -> None:
    path = ("goals", goal.name)
    if goal.value is NO_VALUE:
        return
    rollup = model.rollups.get(goal.rollup)
    if rollup is None:
        near = nearest_word(goal.rollup, model.rollups)
        message = f"no rollup is called {quoted(goal.rollup)}"
        notes.add((*path, "value"), "unknown-rollup", message, near)
        return
    texts = [value.text for value in rollup.values if value.text]
    if NO_VALUE in rollup.values or not texts:
        pass  # the wanted one may be among those that could not be read
    elif goal.value.text not in texts:
        message = f"{rollup.name} does not keep {goal.value.text}, it keeps {', '.join(texts)}"
        near = nearest_word(goal.value.text, texts)
        notes.add((*path, "value"), "unknown-value", message, f"{rollup.name}.{near}" if near else None)
    elif goal.value.function in ("first_at", "last_at"):
        notes.add((*path, "value"), "not-a-number", f"{goal.value.text} is a time; a goal needs a number")
    if rollup.by not in (("group",), ("actor",)) and _keys_known(rollup):
        message = f'{rollup.name} is kept by {", ".join(rollup.by)}; a goal needs a rollup by "group" alone or "actor" alone'
        notes.add((*path, "value"), "goal-keys", message)
    kept = tuple(dict.fromkeys(("day", *(bucket for bucket in rollup.per if bucket))))
    if goal.per and goal.per not in kept:
        message = f"{rollup.name} is kept per {', '.join(kept)}, not per {goal.per}"
        notes.add((*path, "per"), "goal-per", message, nearest_word(goal.per, kept))
    if goal.target.startswith("group."):
        _check_target(model, notes, goal, rollup)


def _check_target(model: Model, notes: Notes, goal: Goal, rollup: Rollup) -> None:
    path = ("goals", goal.name, "target")
    name = goal.target.removeprefix("group.")
    if "group" not in rollup.by and _keys_known(rollup):
        notes.add(path, "needs-group", f"the target is a group's, but {rollup.name} is not kept by group")
    types = {kind.name: kind.attributes[name] for kind in model.groups.values() if name in kind.attributes}
    if not types:
        numbers = {
            attribute for kind in model.groups.values() for attribute, type_ in kind.attributes.items() if _is_number(type_)
        }
        near = nearest_word(name, numbers)
        message = f"no kind of group declares an attribute {quoted(name)}"
        notes.add(path, "unknown-attribute", message, f"group.{near}" if near else None)
    for kind, type_ in types.items():
        if not _is_number(type_):
            notes.add(path, "needs-number", f"{name} of {kind} is {type_}; a target is an integer or a decimal")


def _is_number(type_: str) -> bool:
    return type_ == "integer" or type_.startswith("decimal")


def _check_health(model: Model, notes: Notes, kind: GroupKind) -> None:
    if kind.health is None or not kind.health.source:
        return
    path = ("groups", kind.name, "health", "from")
    rollup = model.rollups.get(kind.health.source)
    if rollup is None:
        near = nearest_word(kind.health.source, model.rollups)
        notes.add(path, "unknown-rollup", f"no rollup is called {quoted(kind.health.source)}", near)
    elif rollup.by != ("group",) or "distinct(actor)" not in [value.text for value in rollup.values]:
        message = (
            f'{rollup.name} is not kept by "group" alone, or without distinct(actor), by which the active members are counted'
        )
        notes.add(path, "needs-group", message)


def _check_board(model: Model, notes: Notes, board: Board) -> None:
    path = ("boards", board.name)
    check_verbs(model, notes, (*path, "of"), board.of)
    _check_buckets(model, notes, (*path, "windows"), board.windows, BUCKETS)
    Offer(model, notes, board.of).check_value((*path, "by"), board.by)
    if board.by.function in ("first_at", "last_at"):
        notes.add((*path, "by"), "not-a-number", f"{board.by.text} is a time; a board ranks by a number")
    for position, span in enumerate(board.snapshots.at_end_of):
        if span not in board.windows and "all" not in board.windows:
            message = f"at the end of a {span} its window and that of all time are kept, and the board has neither"
            notes.add((*path, "snapshots", "at_end_of", position), "board-window", message)
    if board.belongs == "membership" and not board.by_group and any(board.within):
        message = "an activity belongs to its actor's groups here, but the board is of actors everywhere"
        notes.add((*path, "belongs"), "needs-group", message)
    if board.rank == "group" and "group" in board.within and not board.ancestors:
        message = "a group's board ranks the groups below it: their activities have to count for those above"
        notes.add((*path, "ancestors"), "needs-group", message)


def _check_pending(model: Model, notes: Notes, pending: Pending) -> None:
    path = ("pending", pending.name)
    given = model.verbs.get(pending.given)
    if given is None and pending.given:
        near = nearest_word(pending.given, model.verbs)
        notes.add((*path, "given"), "unknown-verb", f"no verb is called {quoted(pending.given)}", near)
    check_verbs(model, notes, (*path, "done"), pending.done)
    for position, verb in enumerate(pending.done):
        if verb and verb == pending.given:
            message = f"{verb} is what gives, so it cannot also mean done"
            notes.add((*path, "done", position), "opens-and-closes", message)
    roles = {role for kind in model.groups.values() for role in kind.roles}
    for position, role in enumerate(pending.roles):
        if role and role not in roles:
            message = f"no kind of group declares a role {quoted(role)}"
            notes.add((*path, "roles", position), "unknown-word", message, nearest_word(role, roles))
    if pending.due is None or given is None:
        return
    verb, _, name = pending.due.partition(".")
    times = [f"{given.name}.{field.name}" for field in given.data.values() if field.type == "time"]
    if verb != given.name or name not in given.data:
        message = f"{quoted(pending.due)} is no data field of {given.name}; write VERB.FIELD"
        notes.add((*path, "due"), "unknown-field", message, nearest_word(pending.due, times))
    elif pending.due not in times:
        notes.add((*path, "due"), "needs-time", f"{name} is {given.data[name].type}; a due date is a time")


def _check_keep(model: Model, notes: Notes) -> None:
    kept: dict[str, str] = {}
    for keep in model.keep.values():
        path = ("keep", keep.name)
        check_verbs(model, notes, (*path, "of"), keep.of)
        for position, kind in enumerate(keep.group):
            if kind and kind not in model.groups:
                near = nearest_word(kind, model.groups)
                notes.add((*path, "group", position), "unknown-group-kind", f"no kind of group is called {quoted(kind)}", near)
        for name in keep.data:
            _check_kept_field(model, notes, keep, name)
        for position, verb in enumerate(keep.of):
            if verb in kept and kept[verb] != keep.name:
                message = f"keep.{kept[verb]} already says how long {verb} is kept; an entry that selects fewer comes before it"
                notes.add((*path, "of", position), "kept-twice", message)
            elif verb and not keep.narrow:
                kept[verb] = keep.name


def _check_kept_field(model: Model, notes: Notes, keep: Keep, name: str) -> None:
    path = ("keep", keep.name, "data", name)
    verbs = [model.verbs[verb] for verb in keep.of or model.verbs if verb in model.verbs]
    if not any(name in verb.data for verb in verbs):
        known = sorted({one for verb in verbs for one in verb.data})
        notes.add(path, "unknown-field", f"no verb of keep.{keep.name} declares data.{name}", nearest_word(name, known))
    elif wrong := next((verb for verb in verbs if name in verb.data and verb.data[name].type != "text"), None):
        notes.add(path, "needs-text", f"data.{name} of {wrong.name} is {wrong.data[name].type}; only texts select")
