"""A cold row: what becomes of an activity's columns in Parquet, what they are checked by, and how they come back.

The time is in the id, so of both only the microseconds and the id's 62 bits of hash are stored; `received_at` is what it is later
than the time. JSON is text, timestamps are microseconds since year 1, measures and fields are as the activity table has them. The
tenant is the file's.

`mark` is 60 bits of a row's MD5 over all of these as text: PostgreSQL and DuckDB make the same one, and the sum of all rows' marks is
their checksum, whatever their order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from milepost.schema.compile import ActivityColumn

__all__ = ["BACK_TO_ID", "ColdColumn", "columns_of_row", "duck_mark", "postgres_mark"]

# Year 1 to 1970, in microseconds.
EPOCH_US = 62_135_596_800_000_000
SEPARATOR, ABSENT = "chr(31)", "chr(30)"

BACK_TO_ID: LiteralString = (
    "(lpad(to_hex(c.us / 1000), 12, '0') || to_hex(32768 | (mod(c.us, 1000) << 2))"
    " || to_hex((-9223372036854775808)::bigint | c.hash))::uuid"
)


@dataclass(frozen=True, kw_only=True)
class ColdColumn:
    """out: its value of an activity `s`, in PostgreSQL. duck: its type in DuckDB and Parquet. stage: its type where it comes back.
    target, back: the activity's column that it comes back to, and how, of a stage row `c`; None where another one says it.
    """

    name: str
    out: str
    duck: str
    stage: str
    target: str | None
    back: str

    @property
    def text(self) -> tuple[str, str]:
        """As text, in PostgreSQL (of `s`) and in DuckDB (of `c`)."""
        if self.duck == "BIGINT[]":
            return f"array_to_string({self.out}, ',')", f"array_to_string(c.{self.name}, ',')"
        return f"({self.out})::text", f"c.{self.name}::VARCHAR"


def _us(expression: str) -> str:
    return f"(extract(epoch FROM {expression}) * 1000000)::bigint + {EPOCH_US}"


def _moment(expression: str) -> str:
    # Days and the rest of the day apart: an interval is multiplied by a double, which microseconds since year 1 are too long for. Days
    # are added in the session's zone, which is UTC.
    day = 86_400_000_000
    return (
        f"timestamptz '0001-01-01 00:00:00+00' + ({expression}) / {day} * interval '1 day'"
        f" + mod({expression}, {day}) * interval '1 microsecond'"
    )


def _plain(name: str, duck: str, stage: str) -> ColdColumn:
    return ColdColumn(name=name, out=f"s.{name}", duck=duck, stage=stage, target=name, back=f"c.{name}")


_FIXED = (
    ColdColumn(name="us", out=_us("s.occurred_at"), duck="BIGINT", stage="bigint", target="occurred_at", back=_moment("c.us")),
    ColdColumn(
        name="hash",
        out="('x' || right(replace(s.id::text, '-', ''), 16))::bit(64)::bigint & 4611686018427387903",
        duck="BIGINT",
        stage="bigint",
        target="id",
        back=BACK_TO_ID,
    ),
    ColdColumn(
        name="received",
        out="(extract(epoch FROM s.received_at - s.occurred_at) * 1000000)::bigint",
        duck="BIGINT",
        stage="bigint",
        target="received_at",
        back=_moment("c.us + c.received"),
    ),
    _plain("actor_id", "BIGINT", "bigint"),
    _plain("group_id", "BIGINT", "bigint"),
    _plain("version", "INTEGER", "integer"),
    _plain("audience", "SMALLINT", "smallint"),
    _plain("verb", "VARCHAR", "text"),
    _plain("object_kind", "VARCHAR", "text"),
    _plain("object_id", "VARCHAR", "text"),
    _plain("source", "VARCHAR", "text"),
    _plain("status", "VARCHAR", "text"),
    _plain("key", "VARCHAR", "text"),
    _plain("more_groups", "BIGINT[]", "bigint[]"),
    _plain("public_id", "VARCHAR", "uuid"),
    _plain("data", "VARCHAR", "jsonb"),
    _plain("content", "VARCHAR", "jsonb"),
)

_OF_MODEL = {"bigint": "BIGINT", "boolean": "BOOLEAN", 'text COLLATE "C"': "VARCHAR", "timestamptz": "BIGINT"}


def columns_of_row(columns: Mapping[str, ActivityColumn], only: Collection[str] | None = None) -> tuple[ColdColumn, ...]:
    """columns: every m_ and d_ column of the activity table. only: the names that a file has, if it is older than some of them."""
    every = list(_FIXED)
    for name, column in columns.items():
        moment = column.type == "timestamptz"
        every.append(
            ColdColumn(
                name=name,
                out=_us(f"s.{name}") if moment else f"s.{name}",
                duck=_OF_MODEL[column.type],
                stage="bigint" if moment else column.type,
                target=name,
                back=_moment(f"c.{name}") if moment else f"c.{name}",
            )
        )
    return tuple(column for column in every if only is None or column.name in only)


def postgres_mark(columns: Sequence[ColdColumn]) -> LiteralString:
    """The mark of an activity `s`."""
    texts = ", ".join(f"coalesce({column.text[0]}, {ABSENT})" for column in columns)
    return f"('x' || left(md5(concat_ws({SEPARATOR}, {texts})), 15))::bit(60)::bigint"


def duck_mark(columns: Sequence[ColdColumn]) -> str:
    """The mark of a cold row `c`."""
    texts = ", ".join(f"coalesce({column.text[1]}, {ABSENT})" for column in columns)
    return f"('0x' || left(md5(concat_ws({SEPARATOR}, {texts})), 15))::BIGINT"
