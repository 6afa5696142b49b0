"""Replication slots that keep WAL for a reader who does not come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from milepost.doctor.checks.check import GIB, Check, Limit, Row, Seen, said_bytes
from milepost.doctor.finding import Cure, Finding
from milepost.postgres import load_queries

__all__ = ["CHECK"]

queries = load_queries(__package__, "slot_lag.sql")


def judge(rows: Sequence[Row], seen: Seen) -> Iterator[Finding]:
    for row in rows:
        if row["active"]:
            cure = Cure(
                text=f"Its reader is connected and slow: see what it does; bound what {row['name']} may keep by max_slot_wal_keep_size.",
                by_hand="A bound would cut off a reader that may yet catch up.",
            )
        else:
            cure = Cure(
                text=f"If nobody will read {row['name']} any more, drop it; and bound what slots may keep by max_slot_wal_keep_size.",
                statements=(f"SELECT pg_drop_replication_slot('{row['name']}')",),
                operation={"operation": "set_setting", "setting": "max_slot_wal_keep_size", "value": "32GB"},
            )
        yield seen.finding(
            row["name"],
            "critical" if row["status"] in ("unreserved", "lost") else "warning",
            f"The {row['kind']} slot {row['name']} ({'active' if row['active'] else 'nobody reads it'}) keeps {said_bytes(row['kept_bytes'])} of WAL.",
            cure,
            {"retained_bytes": int(row["kept_bytes"]), "wal_status": row["status"], "active": row["active"]},
        )


CHECK = Check(
    name="slot_lag",
    area="server",
    title="A slot keeps WAL for nobody",
    why="A forgotten slot fills the disk, and holds vacuum back.",
    cured="Drop it, or see to its reader; max_slot_wal_keep_size.",
    limits={"bytes_min": Limit(value=2 * GIB, unit="bytes", why="A reader that restarts leaves less behind.")},
    query=queries.rows,
    judge=judge,
)
