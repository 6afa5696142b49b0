"""The load's own SQL: the columns of a batch's rows, the delta that folds read, and the stage for rows that cannot go straight in.

Temp tables live as long as the loader's session and empty themselves at commit: one dropped each time would write to the
catalogue at every load. Measures and declared fields are columns of the activity table (`m_NAME`, `d_NAME`), which are never
dropped, so that an old batch still fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost.model import Model
from milepost.schema.compile._taken_over import taken_over

__all__ = [
    "ActivityColumn",
    "CompiledActivity",
    "RowColumns",
    "column_types",
    "compile_activity",
    "depends_on_groups",
    "row_columns",
]

# What folds read of an activity, in the order of a batch's row, which begins with it: so the same bytes are a row of the delta. Of the
# model's own columns, those that something derived reads follow these; each costs every activity.
DELTA_COLUMNS = (
    ("id", "uuid"),
    ("occurred_at", "timestamptz"),
    ("actor_id", "bigint"),
    ("group_id", "bigint"),
    ("more_groups", "bigint[]"),
    ("audience", "smallint"),
    ("verb", 'text COLLATE "C"'),
    ("object_kind", 'text COLLATE "C"'),
    ("object_id", 'text COLLATE "C"'),
    ("source", 'text COLLATE "C"'),
    ("status", 'text COLLATE "C"'),
)

# The rest of a row; the model's other columns follow these.
OTHER_COLUMNS = (
    ("received_at", "timestamptz"),
    ("key", 'text COLLATE "C"'),
    ("data", "jsonb"),
    ("content", "jsonb"),
)

_FIELD_TYPES = {
    "text": 'text COLLATE "C"',
    "integer": "bigint",
    "decimal": "bigint",  # in units of its scale, like a measure
    "boolean": "boolean",
    "time": "timestamptz",
}


@dataclass(frozen=True, kw_only=True)
class ActivityColumn:
    """A column m_NAME or d_NAME. declared: as the model wrote its type; kept as the column's comment in the database."""

    type: str
    declared: str

    @property
    def scale(self) -> int:
        return int(self.declared[8:-1]) if self.declared.startswith("decimal(") else 0


@dataclass(frozen=True, kw_only=True)
class RowColumns:
    """The columns of a batch's rows, in their order. read, others: the model's own, with and without something that reads them."""

    read: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def delta(self) -> tuple[str, ...]:
        return (*(name for name, _ in DELTA_COLUMNS), *self.read)

    @property
    def every(self) -> tuple[str, ...]:
        return ("tenant_id", *self.delta, *(name for name, _ in OTHER_COLUMNS), *self.others)


@dataclass(frozen=True, kw_only=True)
class CompiledActivity:
    ddl: tuple[str, ...]  # on the activity table; may run again
    temp_ddl: tuple[str, ...]
    row: RowColumns  # as batches of this model have them
    # COPYs; `{columns}` is what the batch carries. Into a partition, which `{partition}` names: COPY refuses tables with policies.
    copy: str
    copy_delta: str
    copy_stage: str
    insert: str  # stage → activity and delta, without what is there already
    correct: str  # stage and `moved` → activity and delta: rows that replace others
    take_back: str  # activities with the ids `old_ids` → delta, sign -1
    # Activities from `low` on that a change of history moves → delta, sign -1. None: no rollup depends on it.
    of_groups: str | None  # those that count for `groups` and what is below them
    of_actors: str | None  # those of the members `actors`
    refill: str  # activities from `low` on, below `high` → delta, sign +1
    refill_cold: str  # those of them that are archived, given as `cold_rows`
    take_over: dict[str, str]  # by column: fills it from `data`, for activities from `low` on, below `high`


def column_types(model: Model) -> dict[str, ActivityColumn]:
    """The m_ and d_ columns that the model asks of the activity table, in the order of a batch's rows."""
    types = {
        f"m_{name}": ActivityColumn(type="bigint", declared=_declared("decimal" if measure.scale else "integer", measure.scale))
        for name, measure in sorted(model.measures().items())
    }
    fields = model.fields()
    types |= {
        f"d_{name}": ActivityColumn(
            type=_FIELD_TYPES[fields[name].type], declared=_declared(fields[name].type, fields[name].scale)
        )
        for name in model.column_fields()
    }
    return types


def row_columns(model: Model) -> RowColumns:
    """How a batch of this model is written."""
    read = _read(model)
    own = tuple(column_types(model))
    return RowColumns(read=tuple(name for name in own if name in read), others=tuple(name for name in own if name not in read))


def _read(model: Model) -> set[str]:
    """Of the model's own columns, those that folds, latest, pending and board tables read."""
    words = [key for rollup in model.rollups.values() for key in rollup.by]
    words += [key for latest in model.latest.values() for key in latest.by]
    words += [value for latest in model.latest.values() for value in latest.values]
    words += [word for rollup in model.rollups.values() for value in rollup.values for word in value.arguments]
    words += [word for names in model.looked_up().values() for name in names for word in (name, f"data.{name}")]
    words += [f"data.{pending.due_field}" for pending in model.pending.values() if pending.due_field is not None]
    words += [word for board in model.boards.values() for word in board.by.arguments]
    return {name for word in words for name in (f"m_{word}", word.replace("data.", "d_"))}


def depends_on_groups(model: Model, belongs: str) -> bool:
    """Whether a rollup or board goes by the groups that activities are addressed to, or by those that actors are members of."""
    rollups = any("group" in rollup.by and rollup.belongs == belongs for rollup in model.rollups.values())
    return rollups or any(board.by_group and board.belongs == belongs for board in model.boards.values())


def _declared(type_: str, scale: int) -> str:
    return f"decimal({scale})" if type_ == "decimal" else type_


def compile_activity(model: Model, columns: dict[str, ActivityColumn]) -> CompiledActivity:
    """columns: every m_ and d_ column the activity table has, those of older models included."""
    own = column_types(model)
    filters = [name for name, declared in model.fields().items() if declared.filter]
    ddl = [f"ALTER TABLE milepost.activity ADD COLUMN IF NOT EXISTS {name} {column.type}" for name, column in own.items()]
    ddl += [f"COMMENT ON COLUMN milepost.activity.{name} IS '{column.declared}'" for name, column in own.items()]
    for name in model.filters:
        where = "" if name == "verb" else f" WHERE {name} <> ''"
        ddl.append(f"CREATE INDEX IF NOT EXISTS activity_{name} ON milepost.activity (tenant_id, {name}, id){where}")
    ddl += [
        f"CREATE INDEX IF NOT EXISTS activity_d_{name} ON milepost.activity (tenant_id, d_{name}, id) WHERE d_{name} IS NOT NULL"
        for name in filters
    ]

    extra = tuple(columns)
    typed = tuple((name, column.type) for name, column in columns.items())
    row = row_columns(model)
    stage = ", ".join(f"{name} {type_}" for name, type_ in (*DELTA_COLUMNS, *OTHER_COLUMNS, *typed))
    delta = ", ".join(f"{name} {type_}" for name, type_ in (*DELTA_COLUMNS, *typed) if name in row.delta)
    delta_names = ", ".join(row.delta)
    names = (*(name for name, _ in (*DELTA_COLUMNS, *OTHER_COLUMNS)), *extra)
    target = ", ".join(("tenant_id", *names))
    picked = ", ".join(f"s.{name}" for name in names)
    alive = (
        "((SELECT NOT EXISTS (SELECT FROM milepost.tombstone WHERE tenant_id = %(tenant_id)s))"
        " OR NOT EXISTS (SELECT FROM milepost.tombstone o WHERE o.tenant_id = %(tenant_id)s AND o.id = s.id OFFSET 0))"
    )

    alive += (
        " AND NOT EXISTS (SELECT FROM milepost.erased_actor e WHERE e.tenant_id = %(tenant_id)s AND e.actor_id = s.actor_id"
        " AND e.until >= s.occurred_at OFFSET 0)"
    )
    unknown = "NOT EXISTS (SELECT FROM milepost.activity o WHERE o.tenant_id = %(tenant_id)s AND o.id = s.id OFFSET 0)"
    insert = f"""WITH fresh AS (
    INSERT INTO milepost.activity ({target})
    SELECT %(tenant_id)s, {picked}
    FROM (SELECT DISTINCT ON (id) * FROM stage ORDER BY id, n) s
    WHERE {unknown} AND {alive}
    ORDER BY s.id
    RETURNING {delta_names}
)
INSERT INTO delta (sign, {delta_names}) SELECT 1, {delta_names} FROM fresh"""
    correct = f"""WITH fresh AS (
    INSERT INTO milepost.activity ({target}, version, public_id)
    SELECT %(tenant_id)s, {picked}, m.version, m.public_id
    FROM stage s JOIN moved m ON m.id = s.id
    ORDER BY s.id
    RETURNING {delta_names}
)
INSERT INTO delta (sign, {delta_names}) SELECT 1, {delta_names} FROM fresh"""
    take_back = f"""INSERT INTO delta (sign, {delta_names})
SELECT -1, {delta_names} FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id = ANY (%(old_ids)s)"""
    addressed = depends_on_groups(model, "addressed")
    membership = depends_on_groups(model, "membership")
    ids = []
    if addressed:
        ids += [
            f"SELECT a.id FROM below b JOIN milepost.{table} a ON a.tenant_id = %(tenant_id)s AND a.group_id = b.group_id"
            " AND a.id >= %(low)s"
            for table in ("activity", "activity_stream")
        ]
    if membership:
        ids.append(
            "SELECT a.id FROM below b JOIN milepost.member m ON m.tenant_id = %(tenant_id)s AND m.group_id = b.group_id"
            " JOIN milepost.activity a ON a.tenant_id = %(tenant_id)s AND a.actor_id = m.actor_id AND a.id >= %(low)s"
        )
    of_groups = f"""WITH below AS (
    SELECT DISTINCT group_id FROM milepost.group_reach WHERE tenant_id = %(tenant_id)s AND ancestor_id = ANY (%(groups)s)
), ids AS (
    {" UNION ".join(ids)}
)
INSERT INTO delta (sign, {delta_names})
SELECT -1, {delta_names} FROM ids JOIN milepost.activity USING (id) WHERE tenant_id = %(tenant_id)s"""
    of_actors = f"""INSERT INTO delta (sign, {delta_names})
SELECT -1, {delta_names} FROM milepost.activity
WHERE tenant_id = %(tenant_id)s AND actor_id = ANY (%(actors)s) AND id >= %(low)s"""
    refill = f"""INSERT INTO delta (sign, {delta_names})
SELECT 1, {delta_names} FROM milepost.activity WHERE tenant_id = %(tenant_id)s AND id >= %(low)s AND id < %(high)s"""
    refill_cold = f"""INSERT INTO delta (sign, {delta_names})
SELECT 1, {delta_names} FROM jsonb_populate_recordset(NULL::milepost.activity, %(cold_rows)s) s
WHERE NOT EXISTS (SELECT FROM milepost.activity h WHERE h.tenant_id = %(tenant_id)s AND h.id = s.id)
    AND NOT EXISTS (SELECT FROM milepost.tombstone t WHERE t.tenant_id = %(tenant_id)s AND t.id = s.id)"""
    take_over = {}
    for name, declared in model.fields().items():
        if f"d_{name}" in own:
            value = taken_over(declared)
            take_over[f"d_{name}"] = (
                f"UPDATE milepost.activity SET d_{name} = {value} WHERE tenant_id = %(tenant_id)s"
                f" AND id >= %(low)s AND id < %(high)s AND d_{name} IS NULL AND {value} IS NOT NULL"
            )
    return CompiledActivity(
        take_over=take_over,
        of_groups=of_groups if ids else None,
        of_actors=of_actors if membership else None,
        refill=refill,
        refill_cold=refill_cold,
        ddl=tuple(ddl),
        temp_ddl=(
            "CREATE TEMP SEQUENCE IF NOT EXISTS stage_n CACHE 1000",
            # Autovacuum never sees temp tables; the planner goes by their size in pages, which is right enough.
            f"CREATE TEMP TABLE IF NOT EXISTS stage (n bigint NOT NULL DEFAULT nextval('stage_n'), tenant_id integer, {stage})"
            " ON COMMIT DELETE ROWS",
            # The tenant stands here only because a batch's rows begin with it.
            f"CREATE TEMP TABLE IF NOT EXISTS delta (sign smallint NOT NULL DEFAULT 1, tenant_id integer, {delta})"
            " ON COMMIT DELETE ROWS",
            "CREATE TEMP TABLE IF NOT EXISTS delta_reach (group_id bigint, ancestor_id bigint, time_zone text,"
            " since timestamptz, until timestamptz, own boolean) ON COMMIT DELETE ROWS",
            "CREATE TEMP TABLE IF NOT EXISTS delta_membership (actor_id bigint, ancestor_id bigint, time_zone text,"
            " since timestamptz, until timestamptz, own boolean, group_id bigint) ON COMMIT DELETE ROWS",
            "CREATE TEMP TABLE IF NOT EXISTS moved (id uuid NOT NULL, version integer NOT NULL, public_id uuid)"
            " ON COMMIT DELETE ROWS",
        ),
        row=row,
        copy="COPY milepost.{partition} ({columns}) FROM STDIN (FORMAT binary)",
        copy_delta=f"COPY delta (tenant_id, {delta_names}) FROM STDIN (FORMAT binary)",
        copy_stage="COPY stage ({columns}) FROM STDIN (FORMAT binary)",
        insert=insert,
        correct=correct,
        take_back=take_back,
    )
