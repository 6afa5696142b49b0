"""The load's own SQL: the stage that batches are copied to, the delta that folds read, and the step between them.

Temp tables live as long as the loader's session and empty themselves at commit: one dropped each time would write to the
catalogue at every load. Measures and declared fields are columns of the activity table (`m_NAME`, `d_NAME`), which are never
dropped, so that an old batch still fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from milepost.model import Model
from milepost.schema.compile._taken_over import taken_over

__all__ = [
    "DELTA_COLUMNS",
    "STAGE_COLUMNS",
    "ActivityColumn",
    "CompiledActivity",
    "column_types",
    "compile_activity",
    "depends_on_groups",
]

# The stage's columns in the order of the copied rows; the model's own follow, sorted by name.
STAGE_COLUMNS = (
    ("id", "uuid"),
    ("key_hash", "bytea"),  # only where the ledger must be asked: the client sent a key but no time
    ("occurred_at", "timestamptz"),
    ("received_at", "timestamptz"),
    ("actor", 'text COLLATE "C"'),
    ("group_name", 'text COLLATE "C"'),
    ("more_group_names", 'text[] COLLATE "C"'),
    ("audience", "smallint"),
    ("verb", 'text COLLATE "C"'),
    ("object_kind", 'text COLLATE "C"'),
    ("object_id", 'text COLLATE "C"'),
    ("source", 'text COLLATE "C"'),
    ("status", 'text COLLATE "C"'),
    ("key", 'text COLLATE "C"'),
    ("data", "jsonb"),
    ("content", "jsonb"),
)

# Of these and the model's own columns, a delta has those that something derived reads: each costs every activity.
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
class CompiledActivity:
    ddl: tuple[str, ...]  # on the activity table; may run again
    temp_ddl: tuple[str, ...]
    copy: str  # COPY of the stage; `{columns}` is what the batch carries
    insert: str  # stage → activity and delta, whatever is there already
    insert_new: str  # the same for a stage of which nothing is there: fails where something is
    correct: str  # stage and `moved` → activity and delta: rows that replace others
    take_back: str  # activities with the ids `old_ids` → delta, sign -1
    # Activities from `low` on that a change of history moves → delta, sign -1. None: no rollup depends on it.
    of_groups: str | None  # those that count for `groups` and what is below them
    of_actors: str | None  # those of the members `actors`
    refill: str  # activities from `low` on, below `high` → delta, sign +1
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


def _read_columns(model: Model) -> set[str]:
    """The columns that folds, latest, pairs and pending tables read of an activity."""
    read = {"id", "occurred_at", "actor_id", "group_id", "more_groups", "audience", "verb"}
    words = [key for rollup in model.rollups.values() for key in rollup.by]
    words += [key for latest in model.latest.values() for key in latest.by]
    words += [value for latest in model.latest.values() for value in latest.values]
    words += [word for rollup in model.rollups.values() for value in rollup.values for word in value.arguments]
    words += [word for names in model.looked_up().values() for name in names for word in (name, f"data.{name}")]
    words += [f"data.{pending.due_field}" for pending in model.pending.values() if pending.due_field is not None]
    words += [word for board in model.boards.values() for word in board.by.arguments]
    if model.pairs or model.pending or model.looked_up():
        words.append("object")
    for word in words:
        read |= {"object_kind", "object_id"} if word == "object" else {word, f"m_{word}", word.replace("data.", "d_")}
    return read


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
    stage = ", ".join(f"{name} {type_}" for name, type_ in (*STAGE_COLUMNS, *typed))
    read = _read_columns(model)
    delta_columns = tuple((name, type_) for name, type_ in (*DELTA_COLUMNS, *typed) if name in read)
    delta = ", ".join(f"{name} {type_}" for name, type_ in delta_columns)
    delta_names = ", ".join(name for name, _ in delta_columns)
    plain = ("occurred_at", "received_at", "audience", "verb", "object_kind", "object_id", "source", "status", "key")
    names = ("id", *plain, "data", "content", *extra)
    target = ", ".join(("tenant_id", "actor_id", "group_id", "more_groups", *names))
    picked = ", ".join(f"s.{name}" for name in names)
    more = (
        "CASE WHEN s.more_group_names IS NOT NULL THEN (SELECT array_agg(o.group_id ORDER BY o.group_id)"
        " FROM stage_group o WHERE o.name = ANY (s.more_group_names)) END"
    )
    # The names were looked up once each, not once an activity (see intern_actors in milepost.intake).
    entities = "JOIN stage_actor a ON a.name = s.actor\n    LEFT JOIN stage_group g ON g.name = s.group_name"
    alive = (
        "((SELECT NOT EXISTS (SELECT FROM milepost.tombstone WHERE tenant_id = %(tenant_id)s))"
        " OR NOT EXISTS (SELECT FROM milepost.tombstone o WHERE o.tenant_id = %(tenant_id)s AND o.id = s.id OFFSET 0))"
    )

    def insert(stage: str, condition: str) -> str:
        return f"""WITH fresh AS (
    INSERT INTO milepost.activity ({target})
    SELECT %(tenant_id)s, a.actor_id, g.group_id, {more}, {picked}
    FROM {stage} s
    {entities}
    WHERE {condition}
    ORDER BY s.id
    RETURNING {delta_names}
)
INSERT INTO delta (sign, {delta_names}) SELECT 1, {delta_names} FROM fresh"""

    unknown = "NOT EXISTS (SELECT FROM milepost.activity o WHERE o.tenant_id = %(tenant_id)s AND o.id = s.id OFFSET 0)"
    correct = f"""WITH fresh AS (
    INSERT INTO milepost.activity ({target}, version, public_id)
    SELECT %(tenant_id)s, a.actor_id, g.group_id, {more}, {picked}, m.version, m.public_id
    FROM stage s JOIN moved m ON m.id = s.id
    {entities}
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
        ddl=tuple(ddl),
        temp_ddl=(
            "CREATE TEMP SEQUENCE IF NOT EXISTS stage_n CACHE 1000",
            # Autovacuum never sees temp tables; the planner goes by their size in pages, which is right enough.
            f"CREATE TEMP TABLE IF NOT EXISTS stage (n bigint NOT NULL DEFAULT nextval('stage_n'), {stage}) ON COMMIT DELETE ROWS",
            f"CREATE TEMP TABLE IF NOT EXISTS delta (sign smallint NOT NULL, {delta}) ON COMMIT DELETE ROWS",
            'CREATE TEMP TABLE IF NOT EXISTS stage_actor (name text COLLATE "C" NOT NULL, actor_id bigint NOT NULL)'
            " ON COMMIT DELETE ROWS",
            'CREATE TEMP TABLE IF NOT EXISTS stage_group (name text COLLATE "C" NOT NULL, group_id bigint NOT NULL)'
            " ON COMMIT DELETE ROWS",
            "CREATE TEMP TABLE IF NOT EXISTS delta_reach (group_id bigint, ancestor_id bigint, time_zone text,"
            " since timestamptz, until timestamptz, own boolean) ON COMMIT DELETE ROWS",
            "CREATE TEMP TABLE IF NOT EXISTS delta_membership (actor_id bigint, ancestor_id bigint, time_zone text,"
            " since timestamptz, until timestamptz, own boolean, group_id bigint) ON COMMIT DELETE ROWS",
            "CREATE TEMP TABLE IF NOT EXISTS moved (id uuid NOT NULL, version integer NOT NULL, public_id uuid)"
            " ON COMMIT DELETE ROWS",
        ),
        copy="COPY stage ({columns}) FROM STDIN (FORMAT binary)",
        insert=insert("(SELECT DISTINCT ON (id) * FROM stage ORDER BY id, n)", f"{unknown} AND {alive}"),
        insert_new=insert("stage", alive),
        correct=correct,
        take_back=take_back,
    )
