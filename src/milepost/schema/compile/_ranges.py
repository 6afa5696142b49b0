"""Counted ranges: how many members stand in each stretch of a board, so that a rank is counted from few rows.

`board_NAME_range` has three levels. A range of levels 0 and 1 begins at (place, tie, member), inclusive, and ends where the next one
of its level begins; the first begins before everything.

    2  the whole board: one row, the number of its members
    1  upper ranges: some 200 lower ones each
    0  lower ranges: some 256 members each

A rank is the sum of the upper ranges before the member's, of the lower ranges before the member's within the upper one, and a count
over the score index from the beginning of its lower range: a few hundred rows on each level, however large the board is. A board of
few members has only its row of level 2, and is counted from its beginning; lower ranges come when it outgrows one, upper ones when
it has many lower ones. So a change of score on a small board writes nothing here.

`settle` runs at the end of each fold, in the load's transaction: from what places were (`touched_NAME`) and are now it changes the
counts, in one statement; those out of bounds are noted in `unsettled_NAME`, which hardly ever has a row, and for which the other
statements split what has grown and merge what has emptied into its neighbour. `rebuild` makes all of a tenant's from the rows.

Each range is a hot row, but one load changes it at most once, no index covers its count, and free space on its page is kept: such an
update writes no index entry, and the versions it leaves are removed by whoever reads the page next, without vacuum.
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost.schema.compile._rollup_table import Check

__all__ = ["Ranges", "compile_ranges"]

LOWER_MEMBERS = 256  # of a lower range when it is made
LOWER_MEMBERS_MAX = 2 * LOWER_MEMBERS  # it is split beyond
LOWER_MEMBERS_MIN = LOWER_MEMBERS // 8  # it is merged below
UPPER_RANGES = 200  # lower ones in an upper one when it is made
UPPER_RANGES_MAX = 2 * UPPER_RANGES

LEAST = "(-9223372036854775807 - 1)::bigint"  # before every place
MOST = "9223372036854775807"
FIRST = f"{LEAST}, {LEAST}, 0::bigint"


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Statements take the parameter `tenant_id`. rebuild: all of a tenant's lower ranges from its rows; `settle` after it makes the upper ones."""

    table: str
    ddl: tuple[str, ...]
    temp_ddl: tuple[str, ...]
    forget: tuple[str, ...]  # what an earlier fold of the transaction noted
    settle: tuple[str, ...]
    settle_repaired: tuple[str, ...]  # after a repair, or after two folds: looks places up once more
    rebuild: tuple[str, ...]
    verify: tuple[Check, ...]


def compile_ranges(name: str, board: str, member: str) -> Ranges:
    """board: the table of members; member: its column of who is ranked."""
    return _Compiler(name, board, member).compile()


class _Compiler:
    def __init__(self, name: str, board: str, member: str) -> None:
        self.board = board
        self.member = member
        self.table = f"{board}_range"
        self.touched = f"touched_{name}"
        self.unsettled = f"unsettled_{name}"

    def compile(self) -> Ranges:
        key = "tenant_id, per, bucket, group_id, level, place, tie, member"
        columns = (
            'per text COLLATE "C" NOT NULL, bucket timestamp NOT NULL, group_id bigint NOT NULL, level smallint NOT NULL,'
            " place bigint NOT NULL, tie bigint NOT NULL, member bigint NOT NULL, n bigint NOT NULL"
        )
        bounds = (self.merge(), self.split(), self.split_upper())
        return Ranges(
            table=self.table,
            ddl=(
                f"CREATE TABLE {self.table} (tenant_id integer NOT NULL, {columns}, PRIMARY KEY ({key}))"
                " WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)",
            ),
            temp_ddl=(f"CREATE TEMP TABLE IF NOT EXISTS {self.unsettled} ({columns}) ON COMMIT DELETE ROWS",),
            forget=(f"DELETE FROM {self.touched}", f"DELETE FROM {self.unsettled}"),
            settle=(self.count(repaired=False), *bounds),
            settle_repaired=(self.count(repaired=True), *bounds),
            rebuild=self.rebuild(),
            verify=(self.verify_counts(), self.verify_boards()),
        )

    def count(self, *, repaired: bool) -> str:
        """From the changes of places to the counts of ranges. Where a board has no lower ranges, only its row of level 2 counts. Which
        upper ranges the lower ones lie in is seen by one walk along both: there are few. Rows are updated where they were found.

        repaired: places may have changed since they were noted, and are looked up."""
        moved = f"""SELECT o.per, o.bucket, o.group_id, o.{self.member} AS member, o.place AS old_place, o.tie AS old_tie,
        o.new_place AS place, o.new_tie AS tie
    FROM {self.touched} o WHERE o.place IS DISTINCT FROM o.new_place OR o.tie IS DISTINCT FROM o.new_tie"""
        if repaired:
            moved = f"""SELECT o.per, o.bucket, o.group_id, o.{self.member} AS member, o.place AS old_place, o.tie AS old_tie, t.place, t.tie
    FROM {self.touched} o
    CROSS JOIN LATERAL (
        SELECT t.place, t.tie FROM {self.board} t
        WHERE t.tenant_id = %(tenant_id)s AND t.group_id = o.group_id AND t.{self.member} = o.{self.member}
          AND t.per = o.per AND t.bucket = o.bucket OFFSET 0
    ) t
    WHERE o.place IS DISTINCT FROM t.place OR o.tie IS DISTINCT FROM t.tie"""
        return f"""WITH moved AS MATERIALIZED (
    {moved}
), boards AS MATERIALIZED (
    SELECT b.*, EXISTS (
        SELECT FROM {self.table} r WHERE r.tenant_id = %(tenant_id)s AND {same("r", "b")} AND r.level = 0 OFFSET 0
    ) AS ranged
    FROM (
        SELECT per, bucket, group_id, count(place) - count(old_place) AS n FROM moved GROUP BY per, bucket, group_id
    ) b
), step AS MATERIALIZED (
    SELECT m.per, m.bucket, m.group_id, x.place, x.tie, m.member, x.sign
    FROM moved m
    JOIN boards b ON {same("b", "m")} AND b.ranged
    CROSS JOIN LATERAL (VALUES (m.old_place, m.old_tie, -1), (m.place, m.tie, 1)) x (place, tie, sign)
    WHERE x.place IS NOT NULL
    ORDER BY m.per, m.bucket, m.group_id, x.place, x.tie, m.member
), lower AS MATERIALIZED (
    SELECT s.per, s.bucket, s.group_id, l.place, l.tie, l.member, l.at, sum(s.sign) AS n
    FROM step s CROSS JOIN LATERAL ({self.holding(0, "s")}) l
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(s.sign) <> 0
), upper AS (
    SELECT r.per, r.bucket, r.group_id, r.place, r.tie, r.member, r.ctid AS at
    FROM (SELECT DISTINCT l.per, l.bucket, l.group_id FROM lower l) b
    JOIN {self.table} r ON r.tenant_id = %(tenant_id)s AND {same("r", "b")} AND r.level = 1
), walk AS (
    SELECT w.*, count(w.upper) OVER (PARTITION BY w.per, w.bucket, w.group_id ORDER BY w.place, w.tie, w.member, w.upper) AS within
    FROM (
        SELECT u.*, NULL::bigint AS n, u.at AS upper FROM upper u
        UNION ALL
        SELECT l.*, NULL FROM lower l
    ) w
), changed AS MATERIALIZED (
    SELECT l.at, l.n FROM lower l
    UNION ALL
    SELECT max(w.upper), sum(w.n) FROM walk w WHERE w.within > 0 GROUP BY w.per, w.bucket, w.group_id, w.within HAVING sum(w.n) <> 0
), counted AS (
    UPDATE {self.table} r SET n = r.n + c.n FROM changed c
    WHERE r.tenant_id = %(tenant_id)s AND r.ctid = c.at
    RETURNING r.per, r.bucket, r.group_id, r.level, r.place, r.tie, r.member, r.n
), wholes AS (
    INSERT INTO {self.table} AS r (tenant_id, per, bucket, group_id, level, place, tie, member, n)
    SELECT %(tenant_id)s, b.per, b.bucket, b.group_id, 2, {FIRST}, b.n FROM boards b WHERE b.n <> 0
    ORDER BY b.per, b.bucket, b.group_id
    ON CONFLICT (tenant_id, per, bucket, group_id, level, place, tie, member) DO UPDATE SET n = r.n + excluded.n
    RETURNING r.per, r.bucket, r.group_id, r.level, r.place, r.tie, r.member, r.n
)
INSERT INTO {self.unsettled} (per, bucket, group_id, level, place, tie, member, n)
SELECT c.* FROM counted c
WHERE (c.level = 0 AND (c.n > {LOWER_MEMBERS_MAX} OR c.n < {LOWER_MEMBERS_MIN})) OR (c.level = 1 AND c.n < {LOWER_MEMBERS})
UNION ALL
SELECT w.* FROM wholes w JOIN boards b ON {same("b", "w")} AND NOT b.ranged WHERE w.n > {LOWER_MEMBERS_MAX}"""

    def holding(self, level: int, of: str) -> str:
        """The range of a level that holds the place of `of`."""
        return (
            f"SELECT r.place, r.tie, r.member, r.ctid AS at FROM {self.table} r\n"
            f"    WHERE r.tenant_id = %(tenant_id)s AND {same('r', of)} AND r.level = {level}\n"
            f"      AND (r.place, r.tie, r.member) <= ({of}.place, {of}.tie, {of}.member)\n"
            "    ORDER BY r.place DESC, r.tie DESC, r.member DESC LIMIT 1"
        )

    def merge(self) -> str:
        """Small ranges into the nearest one before that stays. The first of a level stays, and so does one with which an upper one
        begins, as long as that stays: when it goes, its first one is looked at, too."""
        lower = "l.per, l.bucket, l.group_id, l.level, l.place, l.tie, l.member, l.n"
        return f"""WITH upper AS MATERIALIZED (
    SELECT s.* FROM {self.unsettled} s WHERE s.level = 1 AND s.n < {LOWER_MEMBERS} AND s.place > {LEAST}
), small AS MATERIALIZED (
    SELECT s.* FROM upper s
    UNION ALL
    SELECT s.* FROM (
        SELECT l.* FROM {self.unsettled} l WHERE l.level = 0
        UNION
        SELECT {lower} FROM upper s JOIN {self.table} l ON l.tenant_id = %(tenant_id)s AND {same("l", "s")} AND l.level = 0
          AND l.place = s.place AND l.tie = s.tie AND l.member = s.member
    ) s
    WHERE s.n < {LOWER_MEMBERS_MIN} AND s.place > {LEAST} AND NOT EXISTS (
        SELECT FROM {self.table} u WHERE u.tenant_id = %(tenant_id)s AND {same("u", "s")} AND u.level = 1
          AND u.place = s.place AND u.tie = s.tie AND u.member = s.member
          AND NOT EXISTS (
              SELECT FROM upper o WHERE {same("o", "u")} AND o.place = u.place AND o.tie = u.tie AND o.member = u.member
          )
    )
), target AS MATERIALIZED (
    SELECT s.*, p.place AS to_place, p.tie AS to_tie, p.member AS to_member
    FROM small s CROSS JOIN LATERAL (
        SELECT r.place, r.tie, r.member FROM {self.table} r
        WHERE r.tenant_id = %(tenant_id)s AND {same("r", "s")} AND r.level = s.level
          AND (r.place, r.tie, r.member) < (s.place, s.tie, s.member)
          AND NOT EXISTS (
              SELECT FROM small o WHERE {same("o", "r")} AND o.level = r.level
                AND o.place = r.place AND o.tie = r.tie AND o.member = r.member
          )
        ORDER BY r.place DESC, r.tie DESC, r.member DESC LIMIT 1
    ) p
), gone AS (
    DELETE FROM {self.table} r USING target s
    WHERE r.tenant_id = %(tenant_id)s AND {same("r", "s")} AND r.level = s.level
      AND r.place = s.place AND r.tie = s.tie AND r.member = s.member
), grown AS (
    UPDATE {self.table} r SET n = r.n + s.n
    FROM (
        SELECT per, bucket, group_id, level, to_place, to_tie, to_member, sum(n) AS n
        FROM target GROUP BY 1, 2, 3, 4, 5, 6, 7
    ) s
    WHERE r.tenant_id = %(tenant_id)s AND {same("r", "s")} AND r.level = s.level
      AND r.place = s.to_place AND r.tie = s.to_tie AND r.member = s.to_member
    RETURNING r.per, r.bucket, r.group_id, r.level, r.place, r.tie, r.member, r.n
)
INSERT INTO {self.unsettled} (per, bucket, group_id, level, place, tie, member, n) SELECT * FROM grown"""

    def split(self) -> str:
        """Lower ranges that have outgrown their bound, and boards that have outgrown being counted from their beginning."""
        inside = self.next_of("b", 0)
        return f"""WITH big AS MATERIALIZED (
    SELECT DISTINCT b.per, b.bucket, b.group_id, b.place, b.tie, b.member
    FROM {self.unsettled} b WHERE b.level IN (0, 2) AND b.n > {LOWER_MEMBERS_MAX}
), inside AS (
    SELECT b.per, b.bucket, b.group_id, b.place, b.tie, b.member, t.place AS at_place, t.tie AS at_tie, t.{self.member} AS at_member,
        row_number() OVER w - 1 AS i, count(*) OVER (PARTITION BY b.per, b.bucket, b.group_id, b.place, b.tie, b.member) AS total
    FROM big b
    LEFT JOIN LATERAL ({inside}) e ON true
    CROSS JOIN LATERAL (
        SELECT t.place, t.tie, t.{self.member} FROM {self.board} t
        WHERE t.tenant_id = %(tenant_id)s AND {same("t", "b")} AND (t.place, t.tie, t.{self.member}) >= (b.place, b.tie, b.member)
          AND (t.place, t.tie, t.{self.member}) < (coalesce(e.place, {MOST}), coalesce(e.tie, {MOST}), coalesce(e.member, {MOST}))
    ) t
    WINDOW w AS (PARTITION BY b.per, b.bucket, b.group_id, b.place, b.tie, b.member ORDER BY t.place, t.tie, t.{self.member})
), sized AS (
    SELECT s.*, {pieces("s.total", LOWER_MEMBERS)} AS pieces FROM inside s
), cut AS (
    SELECT s.*, {begin_of("i * pieces / total")} AS begins, {begin_of("i * pieces / total + 1")} AS ends FROM sized s
), made AS (
    INSERT INTO {self.table} (tenant_id, per, bucket, group_id, level, place, tie, member, n)
    SELECT %(tenant_id)s, per, bucket, group_id, 0,
        CASE WHEN i = 0 THEN place ELSE at_place END, CASE WHEN i = 0 THEN tie ELSE at_tie END,
        CASE WHEN i = 0 THEN member ELSE at_member END, ends - begins
    FROM cut WHERE i = begins
    ORDER BY per, bucket, group_id, 6, 7, 8
    ON CONFLICT (tenant_id, per, bucket, group_id, level, place, tie, member) DO UPDATE SET n = excluded.n
    RETURNING per, bucket, group_id, place, tie, member
)
INSERT INTO {self.unsettled} (per, bucket, group_id, level, place, tie, member, n)
SELECT per, bucket, group_id, 1, place, tie, member, {LOWER_MEMBERS} FROM made"""

    def split_upper(self) -> str:
        """Upper ranges in which lower ones were made, or merged ones ended, and that now have too many."""
        return f"""WITH asked AS MATERIALIZED (
    SELECT DISTINCT s.per, s.bucket, s.group_id, coalesce(u.place, f.place) AS place, coalesce(u.tie, f.tie) AS tie,
        coalesce(u.member, f.member) AS member
    FROM {self.unsettled} s
    CROSS JOIN (SELECT {FIRST}) f (place, tie, member)
    LEFT JOIN LATERAL ({self.holding(1, "s")}) u ON true
    WHERE s.level = 1
), inside AS (
    SELECT b.per, b.bucket, b.group_id, b.place, b.tie, b.member, l.place AS at_place, l.tie AS at_tie, l.member AS at_member, l.n,
        row_number() OVER w - 1 AS i, count(*) OVER (PARTITION BY b.per, b.bucket, b.group_id, b.place, b.tie, b.member) AS total
    FROM asked b
    LEFT JOIN LATERAL ({self.next_of("b", 1)}) e ON true
    CROSS JOIN LATERAL (
        SELECT l.place, l.tie, l.member, l.n FROM {self.table} l
        WHERE l.tenant_id = %(tenant_id)s AND {same("l", "b")} AND l.level = 0
          AND (l.place, l.tie, l.member) >= (b.place, b.tie, b.member)
          AND (l.place, l.tie, l.member) < (coalesce(e.place, {MOST}), coalesce(e.tie, {MOST}), coalesce(e.member, {MOST}))
    ) l
    WINDOW w AS (PARTITION BY b.per, b.bucket, b.group_id, b.place, b.tie, b.member ORDER BY l.place, l.tie, l.member)
), sized AS (
    SELECT s.*, i * {pieces("s.total", UPPER_RANGES)} / s.total AS piece FROM inside s WHERE s.total > {UPPER_RANGES_MAX}
), first AS (
    SELECT DISTINCT ON (per, bucket, group_id, place, tie, member, piece) *,
        sum(n) OVER (PARTITION BY per, bucket, group_id, place, tie, member, piece) AS members
    FROM sized ORDER BY per, bucket, group_id, place, tie, member, piece, i
)
INSERT INTO {self.table} (tenant_id, per, bucket, group_id, level, place, tie, member, n)
SELECT %(tenant_id)s, per, bucket, group_id, 1, at_place, at_tie, at_member, members FROM first
ON CONFLICT (tenant_id, per, bucket, group_id, level, place, tie, member) DO UPDATE SET n = excluded.n"""

    def next_of(self, of: str, level: int) -> str:
        """Where the range `of` of a level ends: no row for the last."""
        return (
            f"SELECT r.place, r.tie, r.member FROM {self.table} r\n"
            f"    WHERE r.tenant_id = %(tenant_id)s AND {same('r', of)} AND r.level = {level}\n"
            f"      AND (r.place, r.tie, r.member) > ({of}.place, {of}.tie, {of}.member)\n"
            "    ORDER BY r.place, r.tie, r.member LIMIT 1"
        )

    def rebuild(self) -> tuple[str, ...]:
        """Every board of the tenant is counted as a whole, and a large one cut into lower ranges, in one walk along the score index: the
        number of each member says whether a range begins with it. `settle` after it makes upper ones of them."""
        board = "s.per, s.bucket, s.group_id"
        key = "place, tie, member"
        return (
            f"DELETE FROM {self.table} WHERE tenant_id = %(tenant_id)s",
            f"""WITH wholes AS (
    INSERT INTO {self.table} (tenant_id, per, bucket, group_id, level, {key}, n)
    SELECT %(tenant_id)s, per, bucket, group_id, 2, {FIRST}, count(*)
    FROM {self.board} WHERE tenant_id = %(tenant_id)s AND place IS NOT NULL GROUP BY per, bucket, group_id
    RETURNING per, bucket, group_id, n
), numbered AS (
    SELECT t.per, t.bucket, t.group_id, t.place, t.tie, t.{self.member} AS member,
        row_number() OVER (PARTITION BY t.per, t.bucket, t.group_id ORDER BY t.place, t.tie, t.{self.member}) - 1 AS i
    FROM {self.board} t WHERE t.tenant_id = %(tenant_id)s AND t.place IS NOT NULL
), sized AS (
    SELECT m.*, w.n AS total, {pieces("w.n", LOWER_MEMBERS)} AS pieces
    FROM numbered m JOIN wholes w ON {same("w", "m")} AND w.n > {LOWER_MEMBERS_MAX}
), cut AS (
    SELECT s.*, {begin_of("i * pieces / total")} AS begins, {begin_of("i * pieces / total + 1")} AS ends FROM sized s
), made AS (
    INSERT INTO {self.table} (tenant_id, per, bucket, group_id, level, {key}, n)
    SELECT %(tenant_id)s, {board}, 0, f.place, f.tie, f.member, s.ends - s.begins
    FROM cut s CROSS JOIN LATERAL (SELECT {FIRST} WHERE i = 0 UNION ALL SELECT s.place, s.tie, s.member WHERE i > 0) f ({key})
    WHERE s.i = s.begins
    RETURNING per, bucket, group_id, {key}
)
INSERT INTO {self.unsettled} (per, bucket, group_id, level, {key}, n)
SELECT per, bucket, group_id, 1, {key}, {LOWER_MEMBERS} FROM made""",
        )

    # ── verifying ──

    def verify_counts(self) -> Check:
        """Each range against the members in it."""
        sql = f"""SELECT jsonb_build_object('group_id', r.group_id, 'level', r.level, 'place', r.place, 'tie', r.tie, 'member', r.member),
    r.per, r.bucket, to_jsonb(r.n), to_jsonb(again.n)
FROM (
    SELECT r.*, lead(r.place) OVER w AS end_place, lead(r.tie) OVER w AS end_tie, lead(r.member) OVER w AS end_member
    FROM {self.table} r WHERE r.tenant_id = %(tenant_id)s
    WINDOW w AS (PARTITION BY r.per, r.bucket, r.group_id, r.level ORDER BY r.place, r.tie, r.member)
) r
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM {self.board} t
    WHERE t.tenant_id = %(tenant_id)s AND {same("t", "r")} AND (t.place, t.tie, t.{self.member}) >= (r.place, r.tie, r.member)
      AND (t.place, t.tie, t.{self.member})
        < (coalesce(r.end_place, {MOST}), coalesce(r.end_tie, {MOST}), coalesce(r.end_member, {MOST}))
) again
WHERE r.n <> again.n"""
        return Check(what="range", chunked=False, sql=sql)

    def verify_boards(self) -> Check:
        """That every board with members is counted as a whole, each level begins before everything, and an upper range where a lower
        one does: else a rank would leave someone out."""
        sql = f"""SELECT jsonb_build_object('group_id', b.group_id), b.per, b.bucket, to_jsonb(b.wrong), NULL::jsonb
FROM (
    SELECT t.per, t.bucket, t.group_id, 'not counted as a whole' AS wrong FROM {self.board} t
    WHERE t.tenant_id = %(tenant_id)s AND t.place IS NOT NULL AND NOT EXISTS (
        SELECT FROM {self.table} r WHERE r.tenant_id = %(tenant_id)s AND {same("r", "t")} AND r.level = 2
    )
    UNION
    SELECT r.per, r.bucket, r.group_id, 'a level does not begin before everything' FROM {self.table} r
    WHERE r.tenant_id = %(tenant_id)s GROUP BY r.per, r.bucket, r.group_id, r.level HAVING min(r.place) > {LEAST}
    UNION
    SELECT u.per, u.bucket, u.group_id, 'an upper range begins within a lower one' FROM {self.table} u
    WHERE u.tenant_id = %(tenant_id)s AND u.level = 1 AND NOT EXISTS (
        SELECT FROM {self.table} r WHERE r.tenant_id = %(tenant_id)s AND {same("r", "u")} AND r.level = 0
          AND r.place = u.place AND r.tie = u.tie AND r.member = u.member
    )
) b"""
        return Check(what="range", chunked=False, sql=sql)


def same(one: str, other: str) -> str:
    """The same board, in the same window."""
    return f"{one}.per = {other}.per AND {one}.bucket = {other}.bucket AND {one}.group_id = {other}.group_id"


def pieces(total: str, size: int) -> str:
    """How many pieces of at most `size`; they are made as even as can be, so that no small one is left over."""
    return f"(({total} + {size - 1}) / {size})"


def begin_of(piece: str) -> str:
    """With which of `total` rows, numbered from 0, a piece begins."""
    return f"(({piece}) * total + pieces - 1) / pieces"
