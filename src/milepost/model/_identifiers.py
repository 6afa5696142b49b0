"""The names of tables and indexes that a model's own names end up in, and whether PostgreSQL can hold them
side by side.

The compiler in `milepost.schema` makes these names; a test holds that it makes no others. A name is cut at 63
bytes without a word, and then two of them may be one: so both too long a name and a name made twice are
mistakes of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from milepost.model._lines import Path, dotted
from milepost.model._phrases import is_name
from milepost.model._problems import Notes, quoted
from milepost.model._types import Model

__all__ = ["IDENTIFIER_BYTES_MAX", "check_identifiers", "identifiers"]

IDENTIFIER_BYTES_MAX: Final = 63
_ENDINGS: Final = ("_pkey", "_idx")  # of the indexes that PostgreSQL names itself


def identifiers(model: Model) -> Iterator[tuple[Path, str]]:
    """Every name of a table or named index made from the model, temporary ones too, with the path that asks
    for it.
    """
    for verb in model.verbs.values():
        for field in verb.data.values():
            if field.filter:
                yield ("verbs", verb.name, "data", field.name), f"activity_d_{field.name}"
    for rollup in model.rollups.values():
        path: Path = ("rollups", rollup.name)
        yield path, f"rollup_{rollup.name}"
        yield path, f"dirty_{rollup.name}"
        for position, value in enumerate(rollup.values):
            if value.function == "distinct":
                what = value.arguments[0].replace("data.", "d_")
                yield (*path, "values", position), f"rollup_{rollup.name}_seen_{what}"
    for latest in model.latest:
        yield ("latest", latest), f"latest_{latest}"
        yield ("latest", latest), f"dirty_latest_{latest}"
    for pair in model.pairs:
        yield ("pairs", pair), f"pairs_{pair}"
        yield ("pairs", pair), f"dirty_pairs_{pair}"
    for goal in model.goals.values():
        if goal.milestones:
            yield ("goals", goal.name), f"milestones_{goal.name}"
            yield ("goals", goal.name), f"touched_{goal.name}"
    for looked_up in model.looked_up():
        yield ("verbs", looked_up), f"about_{looked_up}"
        yield ("verbs", looked_up), f"dirty_about_{looked_up}"
    for pending in model.pending:
        for kind in ("given", "done"):
            yield ("pending", "goals", pending), f"{kind}_{pending}"
            yield ("pending", pending), f"dirty_{kind}_{pending}"
    for board in model.boards.values():
        path = ("boards", board.name)
        for identifier in ("board_{}", "board_{}_range", "dirty_board_{}", "touched_{}", "unsettled_{}"):
            yield path, identifier.format(board.name)
        if board.by.function == "distinct":
            yield (*path, "by"), f"board_{board.name}_seen_{board.by.arguments[0].replace('data.', 'd_')}"


def check_identifiers(model: Model, notes: Notes) -> None:
    taken: dict[str, Path] = {}
    for path, identifier in identifiers(model):
        if not all(is_name(part) for part in path if isinstance(part, str)):
            continue  # that mistake has been named
        if len(identifier.encode()) > IDENTIFIER_BYTES_MAX:
            message = f"this needs a table {identifier}, and PostgreSQL has room for {IDENTIFIER_BYTES_MAX} bytes"
            notes.add(path, "identifier-too-long", f"{message}; shorten one of the names in it")
        owner = taken.setdefault(identifier, path)
        same_field = owner[-1] == path[-1] and owner[0] == path[0] == "verbs"
        if owner != path and not same_field:
            message = f"this needs a table {identifier}, and so does {dotted(owner)}; rename one of them"
            notes.add(path, "identifier-taken", message)
    for section in ("rollups", "latest", "pairs", "pending", "boards"):
        for name in getattr(model, section):
            if name.endswith(_ENDINGS):
                message = f"{quoted(name)} ends like an index of PostgreSQL's own: not in {' or '.join(_ENDINGS)}"
                notes.add((section, name), "reserved-name", message, name[: name.rindex("_")] or None)
