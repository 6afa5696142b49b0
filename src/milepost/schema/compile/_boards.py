"""A board: the rollup whose rows carry the score index, and beside it the counted ranges that make a rank cheap.

A row of `board_NAME` is one member of one board in one window: the parts of its score, kept exact as a rollup's are (`_fold`), and
two columns that PostgreSQL derives from them:

- `place`: the score, turned so that less is better; NULL for who takes no rank (hidden, too few activities, no score). A bigint, in
  units of the score's last decimal place, and where the score has more digits, the largest or smallest: row-level security lets an
  index serve comparisons of bigint, but not of numeric, whose functions may fail.
- `tie`: since when the member has that score, in microseconds of `occurred_at`: that of the first activity that reached it where it
  is a minimum or maximum, else that of the last one that counts in it (of the latest, of the latest itself). Less is better here, too.

The index on (board, place, tie, member) is the ranking itself. How many stand before one is what `_ranges` counts; it takes each
change of a place from `touched_NAME`, where the fold notes what the row was before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from milepost.model import Board, Model
from milepost.schema.compile._columns import MOMENT, Column, columns_of
from milepost.schema.compile._contributions import literal
from milepost.schema.compile._ranges import Ranges, compile_ranges
from milepost.schema.compile._ranked import member_column, ranked_contributions, tally_of
from milepost.schema.compile._rollup import CompiledRollup, RollupCompiler
from milepost.schema.compile._rollup_table import Check

__all__ = ["CompiledBoard", "compile_board", "score_units"]

QUOTIENTS = ("avg", "weighted_avg", "share")
ROUNDED = 6  # decimal places that a quotient has beyond its measure's
BIGINT_MAX = 9223372036854775807
NEVER = "(-9223372036854775807 - 1)"  # a tie before all others: of a score of 0 that nothing moved


@dataclass(frozen=True, kw_only=True)
class CompiledBoard:
    """tally: the rollup beneath; its fold also notes in `touched_NAME`. hide, show: of one member (parameter `member_id`)."""

    name: str
    table: str
    member: str  # the column of who is ranked
    by_group: bool
    tally: CompiledRollup
    ranges: Ranges
    hide: str
    ddl: tuple[str, ...]
    temp_ddl: tuple[str, ...]
    verify: tuple[Check, ...]

    @property
    def of(self) -> tuple[str, ...]:
        return self.tally.of


def compile_board(model: Model, board: Board) -> CompiledBoard:
    return _Compiler(model, board).board_compiled()


def score_units(model: Model, board: Board) -> str:
    """What turns a place into the score in the user's units, as the factor of a SQL expression."""
    by = board.by
    sign = "" if board.order == "up" else "-"
    measured = by.function in ("sum", "avg", "weighted_avg", "min", "max", "latest")
    scale = model.measures()[by.arguments[0]].scale if measured else 0
    return f"{sign}{Decimal(1).scaleb(-scale - (ROUNDED if by.function in QUOTIENTS else 0))}"


class _Compiler(RollupCompiler):
    kind = "board"

    def __init__(self, model: Model, board: Board) -> None:
        super().__init__(model, tally_of(board, ("group", "actor") if board.rank == "actor" else ("group",)))
        self.board = board
        self.member = member_column(board)
        self.table = f"milepost.board_{board.name}"
        self.dirty = f"dirty_board_{board.name}"
        self.touched = f"touched_{board.name}"
        self.key_types = (("group_id", "bigint", ""), (self.member, "bigint", ""))
        self.keys = ("group_id", self.member)
        self.columns = self.parts_of_score()
        self.extremes = tuple(column for column in self.columns if column.extreme)
        self.windows = tuple(f"term:{window}" if window in model.terms else window for window in board.windows)

    def contributions(self, *, source: str, where: str = "true") -> str:
        return ranked_contributions(self.model, self.board, source=source, where=where)

    def board_compiled(self) -> CompiledBoard:
        tally = self.compile()
        ranges = compile_ranges(self.board.name, self.table, self.member)
        return CompiledBoard(
            name=self.board.name,
            table=self.table,
            member=self.member,
            by_group=self.board.by_group,
            tally=tally,
            ranges=ranges,
            hide=self.hide(),
            ddl=(*tally.ddl, *ranges.ddl),
            temp_ddl=(*tally.temp_ddl, *ranges.temp_ddl),
            verify=(*tally.verify, self.verify_hidden(), *ranges.verify, self.verify_snapshots()),
        )

    # ── the score ──

    def parts_of_score(self) -> tuple[Column, ...]:
        by = self.board.by
        if by.function in ("min", "max"):
            # One value of two parts, so that one comparison finds the best and, of equal ones, the first.
            measure, turned = f"s.m_{by.arguments[0]}", "" if by.function == "min" else "-"
            add = f"{by.function}(ARRAY[{measure}, {turned}{MOMENT}]) FILTER (WHERE s.sign > 0 AND {measure} IS NOT NULL)"
            return (Column(name="best", type="bigint[]", add=add, extreme="LEAST" if by.function == "min" else "GREATEST"),)
        if by.function == "latest":
            return tuple(column for column in columns_of(self.rollup) if column.name != "last_at")
        match by.function:
            case "sum":
                counts = f" AND s.m_{by.arguments[0]} <> 0"
            case "avg" | "weighted_avg" | "share":
                counts = "".join(f" AND s.m_{measure} IS NOT NULL" for measure in by.arguments)
            case "distinct":
                counts = f" AND s.value_{self.distinct[0][0]} IS NOT NULL"
            case _:
                counts = ""
        held = Column(name="held_at", type="bigint", add=f"max({MOMENT}) FILTER (WHERE s.sign > 0{counts})", extreme="GREATEST")
        counted = tuple(column for column in columns_of(self.rollup) if column.name != "last_at")
        return (*counted, held)

    def score(self) -> str:
        """In units of its last decimal place, NULL where there is none yet."""
        by = self.board.by
        match by.function:
            case "count":
                return "n"
            case "sum":
                return f"sum_{by.arguments[0]}"
            case "avg":
                return f"round(sum_{by.arguments[0]} / nullif(n_{by.arguments[0]}, 0), {ROUNDED}) * 1e{ROUNDED}"
            case "weighted_avg":
                return f"round(weighted_0 / nullif(weight_0, 0), {ROUNDED}) * 1e{ROUNDED}"
            case "share":
                return f"round(passed_0::numeric / nullif(n_{by.arguments[0]}, 0), {ROUNDED}) * 1e{ROUNDED}"
            case "distinct":
                return f"distinct_{self.distinct[0][0]}"
            case "latest":
                return f"latest_{by.arguments[0]}[2]"
            case _:
                return "best[1]"

    def ddl(self) -> tuple[str, ...]:
        table, *more = super().ddl()
        match self.board.by.function:
            case "min" | "max":
                tie = f"{'-' if self.board.by.function == 'max' else ''}best[2]"
            case "latest":
                tie = f"latest_{self.board.by.arguments[0]}[1]"
            case _:
                tie = f"coalesce(held_at, {NEVER})"
        score = self.score()
        ranked = f"n >= {self.board.activities_min} AND NOT hidden AND per IN ({self.ranked_windows()}) AND {score} IS NOT NULL"
        turned = "" if self.board.order == "up" else "-"
        place = f"{turned}least(greatest(({score})::numeric, -{BIGINT_MAX}), {BIGINT_MAX})::bigint"
        derived = (
            "    hidden boolean NOT NULL DEFAULT false,\n"
            f"    place bigint GENERATED ALWAYS AS (CASE WHEN {ranked} THEN {place} END) STORED,\n"
            f"    tie bigint GENERATED ALWAYS AS (CASE WHEN {ranked} THEN {tie} END) STORED,\n"
        )
        at = table.index("    PRIMARY KEY")
        # The index also finds the rows of a span of days for verify, as that of (tenant_id, per, bucket) does for a rollup.
        index = f"CREATE INDEX ON {self.table} (tenant_id, per, bucket, group_id, place, tie, {self.member})"
        beside = tuple(statement for statement in more if not statement.startswith(f"CREATE INDEX ON {self.table} ("))
        return (table[:at] + derived + table[at:], index, *beside)

    def temp_ddl(self) -> tuple[str, ...]:
        touched = (
            f"CREATE TEMP TABLE IF NOT EXISTS {self.touched} (group_id bigint NOT NULL, {self.member} bigint NOT NULL,"
            ' per text COLLATE "C" NOT NULL, bucket timestamp NOT NULL, place bigint, tie bigint,'
            " new_place bigint, new_tie bigint) ON COMMIT DELETE ROWS"
        )
        return (*super().temp_ddl(), touched)

    # ── folding ──

    def upsert(self) -> str:
        """As a rollup's; of the windows that are ranked it notes what the places were before and are now. Where a change of history
        folds twice in one transaction, what they were before the first.

        Each row is looked up once, for its places, and changed where it was found: a lane has one writer, so nobody moves it meanwhile.
        ON CONFLICT would look it up again and lock it first."""
        columns = (*self.keys, "per", "bucket")
        added, source = self.additions()
        names = ", ".join(columns)
        picked = ", ".join(f"a.{column}" for column in columns)
        same_row = " AND ".join(f"t.{column} = a.{column}" for column in columns)
        same_note = " AND ".join(f"o.{column} = a.{column}" for column in columns)
        values = ", ".join(f"a.{name}" for name in added)
        mine = f"h.tenant_id = %(tenant_id)s AND h.board = {literal(self.board.name)} AND h.shown = 'hidden'"
        # Hardly anybody is hidden: whether anybody is, is asked once a load.
        hidden = (
            f"(SELECT EXISTS (SELECT FROM milepost.board_member h WHERE {mine})) AND"
            f" EXISTS (SELECT FROM milepost.board_member h WHERE {mine} AND h.member_id = a.{self.member} OFFSET 0)"
        )
        now = ", ".join(f"t.{column}" for column in columns)
        return (
            f", added AS MATERIALIZED (\n{source}\nORDER BY {names}\n), was AS MATERIALIZED (\n"
            f"SELECT a.*, t.at, t.place, t.tie FROM added a\n"
            f"LEFT JOIN LATERAL (SELECT t.ctid AS at, t.place, t.tie FROM {self.table} t WHERE t.tenant_id = %(tenant_id)s AND {same_row}"
            f" OFFSET 0) t ON true\n), kept AS (\n"
            f"UPDATE {self.table} t SET {self.sets(added).replace('excluded.', 'a.')}\nFROM was a\n"
            f"WHERE t.tenant_id = %(tenant_id)s AND t.ctid = a.at\n"
            f"RETURNING {now}, a.place, a.tie, t.place AS new_place, t.tie AS new_tie\n), made AS (\n"
            f"INSERT INTO {self.table} AS t (tenant_id, {names}, {', '.join(added)}, hidden)\n"
            f"SELECT %(tenant_id)s, {picked}, {values}, {hidden}\nFROM was a WHERE a.at IS NULL ORDER BY {picked}\n"
            f"RETURNING {now}, NULL::bigint AS place, NULL::bigint AS tie, t.place AS new_place, t.tie AS new_tie\n)\n"
            f"INSERT INTO {self.touched} ({names}, place, tie, new_place, new_tie)\n"
            f"SELECT {picked}, a.place, a.tie, a.new_place, a.new_tie\n"
            f"FROM (SELECT * FROM kept UNION ALL SELECT * FROM made) a\n"
            f"WHERE a.per IN ({self.ranked_windows()}) AND NOT EXISTS (SELECT FROM {self.touched} o WHERE {same_note})"
        )

    def repair(self, filled: str) -> tuple[str, ...]:
        """As a rollup's. Where what was taken back and added cancelled out, the fold left a row alone that is repaired all the same (a best
        value that is gone, and one more activity without any): its places are noted first."""
        return (*(self.note_places(per) for per in self.windows), *super().repair(filled))

    def note_places(self, per: str) -> str:
        bucket = "d.day" if per == "day" else self.days_of(per, "d.day", "t.bucket")[0]
        keys = ", ".join(f"d.{key}" for key in self.keys)
        columns = (*self.keys, "per", "bucket")
        same_keys = " AND ".join(f"t.{key} = d.{key}" for key in (*self.keys, "bucket"))
        same_note = " AND ".join(f"o.{column} = t.{column}" for column in columns)
        return (
            f"INSERT INTO {self.touched} ({', '.join(columns)}, place, tie)\n"
            f"SELECT {', '.join(f't.{column}' for column in columns)}, t.place, t.tie\n"
            f"FROM (SELECT DISTINCT {keys}, {bucket} AS bucket FROM {self.dirty} d) d\n"
            f"CROSS JOIN LATERAL (SELECT t.* FROM {self.table} t WHERE t.tenant_id = %(tenant_id)s AND t.per = {literal(per)} AND {same_keys}"
            f" OFFSET 0) t\n"
            f"WHERE NOT EXISTS (SELECT FROM {self.touched} o WHERE {same_note})"
        )

    def ranked_windows(self) -> str:
        return ", ".join(literal(window) for window in self.windows)

    def hide(self) -> str:
        """Of one member, all its rows: `hidden` says whether it takes no rank from now on."""
        names = ", ".join((*self.keys, "per", "bucket"))
        return (
            f"WITH was AS (\nINSERT INTO {self.touched} ({names}, place, tie)\nSELECT {names}, place, tie FROM {self.table}\n"
            f"WHERE tenant_id = %(tenant_id)s AND {self.member} = %(member_id)s AND per IN ({self.ranked_windows()})\n)\n"
            f"UPDATE {self.table} SET hidden = %(hidden)s WHERE tenant_id = %(tenant_id)s AND {self.member} = %(member_id)s"
        )

    def verify_hidden(self) -> Check:
        sql = (
            f"SELECT jsonb_build_object('group_id', t.group_id, '{self.member}', t.{self.member}), t.per, t.bucket,"
            f" to_jsonb(t.hidden), to_jsonb(NOT t.hidden)\nFROM {self.table} t WHERE t.tenant_id = %(tenant_id)s AND t.hidden <>"
            f" EXISTS (SELECT FROM milepost.board_member h WHERE h.tenant_id = %(tenant_id)s"
            f" AND h.board = {literal(self.board.name)} AND h.member_id = t.{self.member} AND h.shown = 'hidden')"
        )
        return Check(what="hidden", chunked=False, sql=sql)

    def verify_snapshots(self) -> Check:
        """That what was kept holds together: one row a place, none missing, in order, ranks those of the places or shared with the one
        before. What it was at the time cannot be computed again from activities that were corrected since."""
        worse = "<" if self.board.order == "up" else ">"
        sql = f"""SELECT jsonb_build_object('group_id', s.group_id, 'snapshot', s.name), s.per, s.bucket,
    to_jsonb(least(s.members, s.kept)), to_jsonb(p.places)
FROM milepost.snapshot s
CROSS JOIN LATERAL (
    SELECT count(*) AS places, coalesce(bool_and(fits), true) AS fit
    FROM (
        SELECT p.ordinal = row_number() OVER w AND (p.rank = p.ordinal OR p.rank = lag(p.rank) OVER w)
            AND NOT coalesce(p.score {worse} lag(p.score) OVER w, false) AS fits
        FROM milepost.snapshot_place p WHERE p.tenant_id = %(tenant_id)s AND p.snapshot_id = s.snapshot_id
        WINDOW w AS (ORDER BY p.ordinal)
    ) p
) p
WHERE s.tenant_id = %(tenant_id)s AND s.board = {literal(self.board.name)}
  AND NOT (p.fit AND p.places = s.kept AND s.kept <= s.members)"""
        return Check(what="snapshot", chunked=False, sql=sql)
