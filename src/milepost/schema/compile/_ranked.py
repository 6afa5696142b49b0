"""A contribution to a board: what one activity adds to the score of one member, on the board of one group or on that of everywhere.

The same contributions as a rollup's (`_contributions`), of the visibilities that score, under two keys: `group_id`, whose board it
is (0: everywhere), and the member that is ranked there. Days are those of the board's group, so that all members of a board share
its windows; everywhere they are the model's.

Where groups are ranked, a group scores by what counts for itself, and appears on the boards of all groups above it.
"""

from __future__ import annotations

from milepost.model import Board, Model, Rollup, Value
from milepost.schema.compile._contributions import contributions, literal, row_of

__all__ = ["EVERYWHERE", "member_column", "ranked_contributions", "tally_of"]

EVERYWHERE = 0  # in place of a group's number: those begin with 1
AUDIENCES = {"public": 0, "group": 1, "private": 2}

_WHEN = Value(function="last_at", text="last_at")  # has a contribution carry its time, by which ties are decided


def member_column(board: Board) -> str:
    return "actor_id" if board.rank == "actor" else "member_id"


def tally_of(board: Board, by: tuple[str, ...]) -> Rollup:
    """The rollup whose numbers the board ranks by."""
    return Rollup(
        name=board.name,
        of=board.of,
        by=by,
        belongs=board.belongs,
        ancestors=board.ancestors,
        per=board.windows,
        values=(board.by, _WHEN),
    )


def ranked_contributions(model: Model, board: Board, *, source: str, where: str) -> str:
    """A SELECT of the board's contributions of the activities in `source` (an alias `s` is put on it) that meet `where`."""
    audiences = sorted(AUDIENCES[word] for word in board.scores)
    if len(audiences) < len(AUDIENCES):
        where = f"({where}) AND s.audience IN ({', '.join(map(str, audiences))})"
    parts = []
    for within in board.within:
        if board.rank == "group":
            parts.append(_of_groups(model, board, within == "group", source, where))
        elif within == "group":
            parts.append(contributions(model, tally_of(board, ("group", "actor")), source=source, where=where))
        else:
            actors = contributions(model, tally_of(board, ("actor",)), source=source, where=where)
            parts.append(f"SELECT {EVERYWHERE}::bigint AS group_id, e.* FROM (\n{actors}\n) e")
    return "\nUNION ALL\n".join(parts)


def _of_groups(model: Model, board: Board, above: bool, source: str, where: str) -> str:
    """above: on the boards of the groups above each; else everywhere. Each pair of board and member comes once: neither spans of a
    membership nor those of a group's reach overlap."""
    verbs = ", ".join(literal(verb) for verb in board.of)
    condition = f"s.verb IN ({verbs}) AND ({where})"
    zone = f"coalesce(nullif(r.time_zone, ''), {literal(model.time_zone)})" if above else literal(model.time_zone)
    of_delta = source == "delta"
    own = "r.own" if of_delta else "r.ancestor_id = r.group_id"
    held = f"s.occurred_at >= r.since AND s.occurred_at < r.until AND {f'NOT ({own})' if above else own}"
    if board.belongs == "membership":
        member = "r.group_id"
        if of_delta:
            groups = f"JOIN delta_membership r ON r.actor_id = s.actor_id AND {held}"
        else:
            groups = (
                "JOIN milepost.member m ON m.tenant_id = %(tenant_id)s AND m.actor_id = s.actor_id"
                " AND s.occurred_at >= m.since AND s.occurred_at < m.until\n"
                f"JOIN milepost.group_reach r ON r.tenant_id = %(tenant_id)s AND r.group_id = m.group_id AND {held}"
            )
    else:
        member = "k.group_id"
        reach = "delta_reach r ON" if of_delta else "milepost.group_reach r ON r.tenant_id = %(tenant_id)s AND"
        groups = (
            "CROSS JOIN LATERAL unnest(s.group_id || coalesce(s.more_groups, '{}')) k (group_id)\n"
            f"JOIN {reach} r.group_id = k.group_id AND {held}"
        )
    board_of = "r.ancestor_id" if above else f"{EVERYWHERE}::bigint"
    keys = (("group_id", "bigint", board_of), (member_column(board), "bigint", member))
    return f"SELECT {row_of(model, tally_of(board, ('group',)), zone, keys)}\nFROM {source} s\n{groups}\nWHERE {condition}"
