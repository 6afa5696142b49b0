"""Faults of a database, each beside a healthy twin: what `tests/test_doctor_faults.py` builds and has the doctor look at.

A fault lives in a schema of its own, which its findings' objects begin with; its twin is the same application done right. `LIMITS` makes a
table of 20,000 rows count as large; the rules are the real ones. A statement that begins with `-- fails` is one that must.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FAULTS", "LIMITS", "Fault"]

LIMITS: dict[str, float] = {
    "missing_foreign_key_index.rows_min": 10_000,
    "sequential_scans.rows_min": 15_000,
    "sequential_scans.scans_min": 20,
    "sequential_scans.rows_per_s_min": 100,
    "index_usage.rows_min": 15_000,
    "index_usage.scans_min": 20,
    "unused_index.bytes_min": 600_000,
    "unused_index.age_s_min": 0,
    "duplicate_index.bytes_min": 100_000,
    "redundant_index.bytes_min": 100_000,
    "bloated_index.wasted_bytes_min": 300_000,
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """check: the one that must find it. operation: of its cure; None if only a person can cure it. also: checks whose findings are true
    here, too. about: how the finding's object begins, if not with the schema.
    """

    name: str
    check: str
    faulty: str
    healthy: str
    operation: str | None = None
    also: tuple[str, ...] = ()
    about: str | None = None
    both: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        return f"f_{self.name}"


TABLE = """
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, note text);
INSERT INTO t SELECT g, g % 1000, g, 'note ' || g FROM generate_series(1, {rows}) g;
"""


def table(rows: int = 20_000) -> str:
    return TABLE.format(rows=rows)


def times(count: int, statement: str) -> str:
    return f"DO $$ BEGIN FOR i IN 1..{count} LOOP PERFORM {statement}; END LOOP; END $$;"


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="foreign_key",
        check="missing_foreign_key_index",
        operation="create_index",
        both="CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent SELECT generate_series(0, 2000);\n"
        + table()
        + "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES parent;\n",
        faulty="DELETE FROM parent WHERE id > 1998;",
        healthy="CREATE INDEX ON t (a); DELETE FROM parent WHERE id > 1998;",
    ),
    Fault(
        name="read_whole",
        check="sequential_scans",
        both=table(),
        faulty=times(60, "count(*) FROM t WHERE b = i"),
        healthy="CREATE INDEX ON t (b); ANALYZE t;" + times(1500, "count(*) FROM t WHERE b = i"),
    ),
    Fault(
        name="usage",
        check="index_usage",
        about="test_",
        both="",
        faulty="",  # what reads `read_whole` whole is the database's only traffic
        healthy="",
    ),
    Fault(
        name="unread",
        check="unused_index",
        operation="drop_index",
        both="CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE INDEX ON t (b);\n"
        "INSERT INTO t SELECT g, g % 1000, g FROM generate_series(1, 50000) g; ANALYZE t;\n",
        faulty="",
        healthy=times(10, "count(*) FROM t WHERE b = i"),
    ),
    Fault(
        name="twice",
        check="duplicate_index",
        operation="drop_index",
        both=table() + "CREATE INDEX t_a ON t (a);\n",
        faulty="CREATE INDEX t_a_again ON t (a);",
        healthy="CREATE INDEX t_a_open ON t (a) WHERE b > 10;",
    ),
    Fault(
        name="beginning",
        check="redundant_index",
        operation="drop_index",
        both=table() + "CREATE INDEX t_b ON t (b);\n",
        faulty="CREATE INDEX t_b_a ON t (b, a);",
        healthy="CREATE INDEX t_a_b ON t (a, b);",
    ),
    Fault(
        name="failed_build",
        check="invalid_index",
        operation="reindex_index",
        both=table(5_000),
        faulty="-- fails\nCREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a);",
        healthy="CREATE UNIQUE INDEX CONCURRENTLY t_b ON t (b);",
    ),
    Fault(
        name="hollow_index",
        check="bloated_index",
        operation="reindex_index",
        also=("bloated_table",),
        both=table(30_000),
        faulty="DELETE FROM t WHERE id % 10 <> 0; VACUUM ANALYZE t;",
        healthy="VACUUM ANALYZE t;",
    ),
)
