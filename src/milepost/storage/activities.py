"""An activity as the API shows it: which columns to select, and the JSON that a row becomes.

Every reading path (by id, feeds, lists, corrections) selects `COLUMNS` from the aliases `s` (activity), `a` (actor) and `g`
(groups), and presents the row with `Presenter`. Content is left out of lists: it may be large, and has a resource of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from milepost.access.viewer import EVERYTHING, Reader
from milepost.activity import AUDIENCES
from milepost.postgres import Connection, load_queries
from milepost.schema.compile import ActivityColumn
from milepost.storage.cold import Cold
from milepost.storage.cold_files import ColdFiles

__all__ = ["Presenter", "by_ids", "rfc3339"]

_queries = load_queries(__package__, "activities.sql")
_encode = msgspec.json.Encoder().encode

_PLAIN = (
    "s.id",
    "s.public_id",
    "s.version",
    "s.occurred_at",
    "s.received_at",
    "a.external_id",
    "s.verb",
    "s.object_kind",
    "s.object_id",
    "g.external_id",
    # The other groups it is addressed to, in no order; nearly always NULL, and then nothing is looked up.
    "CASE WHEN s.more_groups IS NOT NULL THEN (SELECT array_agg(o.external_id) FROM milepost.groups o"
    " WHERE o.tenant_id = s.tenant_id AND o.group_id = ANY (s.more_groups)) END",
    "s.audience",
    "s.source",
    "s.status",
    "s.key",
    "s.data",
)


# Asked of the activities that may name files, where the model has such verbs; in no order.
_ATTACHED = (
    "CASE WHEN s.verb IN ({verbs}) THEN (SELECT jsonb_agg(jsonb_build_array(u.name, u.place, u.file_id, f.media_type, f.bytes, f.filename))"
    " FROM milepost.activity_file u LEFT JOIN milepost.file f ON f.tenant_id = u.tenant_id"
    " AND f.file_id = u.file_id AND f.name = u.name AND f.completed_at IS NOT NULL"
    " WHERE u.tenant_id = s.tenant_id AND u.id = s.id AND u.place IS NOT NULL) END"
)


class Presenter:
    """Selects and presents activities; its columns sort nothing, so that pages may be planned without sorts. columns: every column that a
    model ever added (`CompiledModel.columns`). files: of the archive; None: where only what is in PostgreSQL is read. attached: verbs whose activities may name files (`Model.verbs_with_files`).
    """

    def __init__(
        self, columns: Mapping[str, ActivityColumn], files: ColdFiles | None = None, *, attached: Sequence[str] = ()
    ) -> None:
        self.cold = None if files is None else Cold(files, columns)
        self.measures = tuple((name[2:], column.scale) for name, column in columns.items() if name.startswith("m_"))
        # Names of verbs are checked identifiers.
        files_column = [_ATTACHED.format(verbs=", ".join(f"'{verb}'" for verb in attached))] if attached else []
        self._end = -1 if attached else None
        self.columns: LiteralString = ", ".join((*_PLAIN, *(f"s.m_{name}" for name, _ in self.measures), *files_column))

    def present(self, row: Sequence[Any]) -> dict[str, Any]:
        """row: in the order of `columns`. Absent parts are left out; times are RFC 3339 in UTC."""
        (id_, public_id, version, occurred_at, received_at, actor, verb, object_kind, object_id, group, more, audience,
         source, status, key, data) = row[: len(_PLAIN)]  # fmt: skip
        shown: dict[str, Any] = {
            "id": str(public_id or id_),
            "version": version,
            "occurred_at": rfc3339(occurred_at),
            "received_at": rfc3339(received_at),
            "actor": actor,
            "verb": verb,
        }
        if object_id is not None:
            shown["object"] = {"kind": object_kind, "id": object_id}
        if group is not None:
            shown["group"] = group
        if more:
            shown["groups"] = [group, *sorted(more)]
        measures = {
            name: scaled(value, scale)
            for (name, scale), value in zip(self.measures, row[len(_PLAIN) : self._end], strict=True)
            if value is not None
        }
        if measures:
            shown["measures"] = measures
        if data is not None:
            shown["data"] = data
        if self._end is not None and row[-1] is not None:
            shown["files"] = _files(row[-1])
        shown["visibility"] = AUDIENCES[audience]
        shown |= {name: value for name, value in (("source", source), ("status", status), ("key", key)) if value}
        return shown


def _files(rows: Sequence[Sequence[Any]]) -> dict[str, list[dict[str, Any]]]:
    """By name. One that was named too late is shown as gone."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for name, _, file_id, media_type, size, filename in sorted(rows, key=itemgetter(0, 1)):
        file = {"id": file_id, "gone": True}
        if media_type is not None:
            file = {"id": file_id, "type": media_type, "bytes": size, "url": f"/v1/files/{file_id}/data"}
        shown.setdefault(name, []).append(file if filename is None else {**file, "filename": filename})
    return shown


def scaled(value: int, scale: int) -> int | Decimal:
    """A stored measure in the user's units, exact."""
    return value if scale == 0 else Decimal(value).scaleb(-scale)


def rfc3339(moment: datetime) -> str:
    text = _encode(moment)
    return (text if text.endswith(b'Z"') else _encode(moment.astimezone(UTC)))[1:-1].decode()


async def by_ids(
    conn: Connection,
    tenant_id: int,
    ids: Sequence[UUID],
    presenter: Presenter,
    *,
    content: bool = False,
    reader: Reader = EVERYTHING,
) -> dict[UUID, tuple[UUID, dict[str, Any], Any]]:
    """asked id → (current id, activity, its content where asked for); one that the reader may not see is left out, as if not there."""
    columns = presenter.columns + (", s.content" if content else ", NULL")
    query = _queries.by_ids.replace("{columns}", columns).replace("{visible}", reader.visible)
    given = {"ids": list(ids), "tenant_id": tenant_id} | reader.parameters
    rows = await (await conn.execute(query, given)).fetchall()
    missing = set(ids).difference(row[0] for row in rows)
    if missing and presenter.cold is not None:
        rows += await _cold_by_ids(conn, tenant_id, sorted(missing), presenter.cold, columns, reader)
    return {row[0]: (row[1], presenter.present(row[1:-1]), row[-1]) for row in rows}


async def _cold_by_ids(
    conn: Connection, tenant_id: int, ids: Sequence[UUID], cold: Cold, columns: LiteralString, reader: Reader
) -> list[tuple[Any, ...]]:
    found = await cold.of_ids(conn, tenant_id, ids, matches=reader.visible, parameters=reader.parameters)
    shown = {row[0]: row for row in await cold.shown(conn, tenant_id, [row for _, row in found.values()], columns)}
    return [(asked, *shown[id]) for asked, (id, _) in found.items()]
