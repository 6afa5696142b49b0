"""Faults of a database, each beside a healthy twin: what `tests/test_doctor_faults.py` builds and has the doctor look at.

A fault lives in a schema of its own, which its findings' objects begin with; its twin is the same application done right. `LIMITS` makes a
table of 20,000 rows count as large; the rules are the real ones. A statement that begins with `-- fails` is one that must; one with `-- times N` is sent N times, so that it is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAULTS", "LIMITS", "SERVER_FAULTS", "Fault"]

LIMITS: dict[str, float] = {
    "critical_statement.mean_ms_min": 50,
    "critical_statement.calls_min": 20,
    "critical_statement.per_min": 0,
    "critical_statement.total_ms_min": 500,
    "slow_statement.mean_ms_min": 250,
    "slow_statement.calls_min": 3,
    "slow_statement.per_min": 1e9,
    "slow_statement.total_ms_min": 500,
    "spilling_statement.bytes_per_call_min": 50_000,
    "missing_foreign_key_index.rows_min": 10_000,
    "sequential_scans.rows_min": 15_000,
    "sequential_scans.scans_min": 40,
    "sequential_scans.rows_per_s_min": 100,
    "index_usage.rows_min": 15_000,
    "index_usage.scans_min": 20,
    "unused_index.bytes_min": 600_000,
    "unused_index.age_s_min": 0,
    "duplicate_index.bytes_min": 100_000,
    "redundant_index.bytes_min": 100_000,
    "bloated_index.wasted_bytes_min": 300_000,
    "bloated_table.wasted_bytes_min": 1_000_000,
    "dead_rows.dead_min": 10_000,
    "autovacuum_disabled.writes_min": 1_000,
    "autovacuum_behind.dead_min": 10_000,
    "autovacuum_behind.tables_min": 1,
    "autovacuum_behind.waiting_s_min": 0,
    "stale_statistics.changed_min": 30_000,
    "stale_statistics.waiting_s_min": 0,
    "wraparound.age_min": 2_500,
    "oversized_rows.bytes_min": 500_000,
    "crowded_pages.updates_min": 15_000,
    "view_stale.age_s_min": 1,
    "view_refresh.blocking_ms_min": 1,
    "default_partition.rows_min": 100,
    "partitions_not_pruned.scans_min": 20,
    "temp_files.bytes_per_hour_min": 1000,
    "temp_files.files_min": 5,
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """check: the one that must find it. operation: of its cure; None if only a person can cure it. also: checks whose findings are true
    here, too. about: how the finding's object begins, if not with the schema. held: keeps autovacuum away from `t`, which could come at any
    moment. major_min: the PostgreSQL from which on it can be seen. lasting: why its finding stays a while when it is cured.
    """

    name: str
    check: str
    faulty: str
    healthy: str
    operation: str | None = None
    also: tuple[str, ...] = ()
    about: str | None = None
    both: str = ""
    held: bool = False
    major_min: int = 15
    lasting: str = ""

    @property
    def schema(self) -> str:
        return f"f_{self.name}"


TABLE = """
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, note text);
INSERT INTO t SELECT g, g % 1000, g, 'note ' || g FROM generate_series(1, {rows}) g;
SELECT pg_stat_force_next_flush();
ANALYZE t;
"""


def table(rows: int = 20_000) -> str:
    return TABLE.format(rows=rows)


def times(count: int, statement: str) -> str:
    return f"DO $$ BEGIN FOR i IN 1..{count} LOOP PERFORM {statement}; END LOOP; END $$;"


FLUSH = "SELECT pg_stat_force_next_flush();"
PARTITIONED = """
CREATE TABLE t (day date NOT NULL, a int NOT NULL, PRIMARY KEY (day, a)) PARTITION BY RANGE (day);
DO $$ BEGIN FOR i IN 0..{months} LOOP EXECUTE format('CREATE TABLE t_%s PARTITION OF t FOR VALUES FROM (%L) TO (%L)', i,
    current_date - 60 + i * 30, current_date - 30 + i * 30); END LOOP; END $$;
INSERT INTO t SELECT current_date - 60 + g % 60, g FROM generate_series(1, 600) g;
"""


def partitioned(months: int = 4) -> str:
    """From two months ago on; the last ends `30 * (months - 1)` days from now."""
    return PARTITIONED.format(months=months)


FAULTS: tuple[Fault, ...] = (
    # The first, since what it does makes older tables older.
    Fault(
        name="old_rows",
        check="wraparound",
        operation="vacuum",
        both="CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000); CREATE TABLE burnt (id int);\n"
        "DO $$ BEGIN FOR i IN 1..3000 LOOP BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;\n"
        "DROP TABLE burnt;\n",
        faulty="",
        healthy="VACUUM (FREEZE) t;",
    ),
    Fault(
        name="felt",
        check="critical_statement",
        both=table(1_000),
        faulty="-- times 20\nSELECT count(*), pg_sleep(0.06) FROM f_felt.t WHERE id = 7;",
        healthy="-- times 20\nSELECT count(*) FROM f_felt.t WHERE id = 7;",
    ),
    Fault(
        name="report",
        check="slow_statement",
        both=table(1_000),
        faulty="-- times 3\nSELECT a, count(*), pg_sleep(0.3) FROM f_report.t WHERE id = 7 GROUP BY a;",
        healthy="-- times 3\nSELECT a, count(*) FROM f_report.t WHERE id = 7 GROUP BY a;",
    ),
    Fault(
        name="spill",
        check="spilling_statement",
        both=table(6_000) + "SET work_mem = '64kB';",
        faulty="-- times 20\nSELECT note, a FROM f_spill.t ORDER BY note DESC, a OFFSET 5000; RESET work_mem;",
        healthy="CREATE INDEX ON t (note DESC, a);\n"
        "-- times 20\nSELECT note, a FROM f_spill.t ORDER BY note DESC, a LIMIT 100;\nRESET work_mem;",
    ),
    Fault(
        name="spills",
        check="temp_files",
        operation="set_setting",
        about="test_",
        faulty="",
        healthy="",
        lasting="files are counted for ever",
    ),  # `spill`'s
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
        faulty=times(80, "count(*) FROM t WHERE b = i"),
        healthy="CREATE INDEX ON t (b);" + times(2500, "count(*) FROM t WHERE b = i"),
    ),
    Fault(name="usage", check="index_usage", about="test_", faulty="", healthy=""),  # `read_whole`'s is the only traffic
    Fault(
        name="unread",
        check="unused_index",
        operation="drop_index",
        both="CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE INDEX ON t (b);\n"
        "INSERT INTO t SELECT g, g % 1000, g FROM generate_series(1, 50000) g;\n" + FLUSH + "ANALYZE t;\n",
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
        operation="drop_index",
        both=table(5_000),
        faulty="-- fails\nCREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a);",
        healthy="CREATE UNIQUE INDEX CONCURRENTLY t_b ON t (b);",
    ),
    Fault(
        name="hollow_index",
        check="bloated_index",
        operation="reindex",
        also=("bloated_table",),
        both=table(30_000),
        faulty="DELETE FROM t WHERE id % 10 <> 0;" + FLUSH + "VACUUM ANALYZE t;",
        healthy="VACUUM ANALYZE t;",
    ),
    Fault(
        name="hollow_table",
        check="bloated_table",
        operation="rewrite_table",
        both="CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, 10000) g;\n",
        faulty="DELETE FROM t WHERE id % 5 <> 0;" + FLUSH + "VACUUM ANALYZE t;",
        healthy="VACUUM ANALYZE t;",
    ),
    Fault(
        name="dead",
        check="dead_rows",
        operation="vacuum",
        also=("bloated_index",),  # once autovacuum has analysed it, as it may have by now
        both=table() + "ALTER TABLE t SET (autovacuum_vacuum_threshold = 1000000, autovacuum_vacuum_insert_threshold = -1);",
        faulty="DELETE FROM t WHERE b % 5 <> 0;",
        healthy="DELETE FROM t WHERE b % 5 <> 0;" + FLUSH + "VACUUM (FULL, ANALYZE) t;",
    ),
    Fault(
        name="neglected",
        check="autovacuum_disabled",
        operation="set_options",
        both=table(5_000),
        faulty="ALTER TABLE t SET (autovacuum_enabled = off); UPDATE t SET note = 'again' WHERE id <= 2000;",
        healthy="UPDATE t SET note = 'again' WHERE id <= 2000;",
    ),
    Fault(
        name="overdue",
        check="autovacuum_behind",
        operation="set_setting",
        about="test_",
        lasting="autovacuum has to come",
        also=("dead_rows",),
        held=True,
        both=table(),
        faulty="DELETE FROM t WHERE b % 5 <> 0;",
        healthy="DELETE FROM t WHERE b % 20 = 0;",
    ),
    Fault(
        name="grown",
        check="stale_statistics",
        operation="analyze",
        held=True,
        both=table(10_000),
        faulty="INSERT INTO t SELECT g, g % 1000, g FROM generate_series(10001, 45000) g;",
        healthy="INSERT INTO t SELECT g, g % 1000, g FROM generate_series(10001, 12000) g;",
    ),
    Fault(
        name="documents",
        check="oversized_rows",
        both="CREATE TABLE t (id int PRIMARY KEY, doc jsonb);\n",
        faulty="INSERT INTO t SELECT g, jsonb_build_object('body', (SELECT string_agg(md5(i::text || g), '') FROM generate_series(1, 1500) i))\n"
        "FROM generate_series(1, 40) g; VACUUM ANALYZE t;",
        healthy="INSERT INTO t SELECT g, jsonb_build_object('body', md5(g::text)) FROM generate_series(1, 40) g; VACUUM ANALYZE t;",
    ),
    Fault(
        name="crowded",
        major_min=16,
        check="crowded_pages",
        operation="set_options",
        also=("dead_rows", "bloated_table", "bloated_index", "autovacuum_behind"),
        both="",
        faulty=table() + "CREATE INDEX ON t (a); UPDATE t SET note = note || ' again';",
        healthy="CREATE TABLE t (id int PRIMARY KEY, a int, note text) WITH (fillfactor = 45);\n"
        "INSERT INTO t SELECT g, g % 1000, 'note ' || g FROM generate_series(1, 20000) g; CREATE INDEX ON t (a);\n"
        "UPDATE t SET note = note || ' again';" + FLUSH + "VACUUM ANALYZE t;",
    ),
    Fault(
        name="keyless",
        check="missing_primary_key",
        both="",
        faulty="CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 11000);",
        healthy="CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 11000);",
    ),
    Fault(
        name="half_done",
        check="unvalidated_constraint",
        operation="validate_constraint",
        both=table(1_000) + "ALTER TABLE t ADD CONSTRAINT b_positive CHECK (b > 0) NOT VALID;",
        faulty="",
        healthy="ALTER TABLE t VALIDATE CONSTRAINT b_positive;",
    ),
    Fault(
        name="numbers",
        check="sequence_end",
        operation="change_type",
        both="",
        faulty="CREATE TABLE t (id serial PRIMARY KEY); SELECT setval('t_id_seq', 1900000000);",
        healthy="CREATE TABLE t (id bigserial PRIMARY KEY); SELECT setval('t_id_seq', 1900000000);",
    ),
    Fault(
        name="short_sequence",
        check="sequence_end",
        operation="alter_sequence",
        both="CREATE TABLE t (id bigint PRIMARY KEY);",
        faulty="CREATE SEQUENCE s AS integer OWNED BY t.id; SELECT setval('s', 1900000000);",
        healthy="CREATE SEQUENCE s OWNED BY t.id; SELECT setval('s', 1900000000);",
    ),
    Fault(
        name="locked_view",
        check="view_without_key",
        operation="create_index",
        both=table(6_000) + "CREATE MATERIALIZED VIEW v AS SELECT id, a FROM t; ANALYZE v;",
        faulty="",
        healthy="CREATE UNIQUE INDEX ON v (id);",
    ),
    Fault(
        name="empty_view",
        check="view_unpopulated",
        operation="refresh_view",
        both=table(1_000) + "CREATE MATERIALIZED VIEW v AS SELECT id, a FROM t WITH NO DATA; CREATE UNIQUE INDEX ON v (id);",
        faulty="",
        healthy="REFRESH MATERIALIZED VIEW v;",
    ),
    Fault(
        name="old_view",
        check="view_stale",
        operation="refresh_view",
        both=table(1_000)
        + "CREATE MATERIALIZED VIEW v AS SELECT id, a FROM t; CREATE UNIQUE INDEX ON v (id); CHECKPOINT; SELECT pg_sleep(1.2);\n"
        "INSERT INTO t SELECT g, g % 1000, g FROM generate_series(1001, 3000) g; " + FLUSH,
        faulty="CHECKPOINT;",
        # Reading sets hints, which are written, too.
        healthy="SELECT count(*) FROM t; CHECKPOINT; REFRESH MATERIALIZED VIEW v; CHECKPOINT;",
    ),
    Fault(
        name="refresh",
        check="view_refresh",
        both=table(4_000) + "CREATE MATERIALIZED VIEW v AS SELECT id, a, b FROM t; CREATE UNIQUE INDEX ON v (id);\n",
        faulty="-- times 3\nREFRESH MATERIALIZED VIEW f_refresh.v;",
        healthy="-- times 3\nREFRESH MATERIALIZED VIEW CONCURRENTLY f_refresh.v;",
    ),
    Fault(
        name="gap",
        check="partition_gap",
        operation="create_partitions",
        both=partitioned(),
        faulty="DROP TABLE t_3;",
        healthy="",
    ),
    Fault(
        name="month_end",
        check="partition_gap",
        operation="create_partitions",
        both="",
        faulty=partitioned(1),
        healthy=partitioned(4),
    ),
    Fault(
        name="strays",
        check="default_partition",
        both=partitioned(),
        faulty="CREATE TABLE t_else PARTITION OF t DEFAULT; INSERT INTO t SELECT current_date - 100, g FROM generate_series(1, 500) g;",
        healthy="CREATE TABLE t_else PARTITION OF t DEFAULT; INSERT INTO t SELECT current_date - 100, g FROM generate_series(1, 5) g;",
    ),
    Fault(
        name="every_month",
        check="partitions_not_pruned",
        both=partitioned() + "INSERT INTO t SELECT current_date + g, g FROM generate_series(0, 80) g;",
        faulty=times(60, "count(*) FROM t WHERE a = i"),
        healthy=times(60, "count(*) FROM t WHERE a = i AND day = current_date"),
    ),
)

# Of a server and its sessions (check, how the finding's object begins): `tests/test_doctor_server_faults.py` builds all of them at once.
SERVER_FAULTS = [
    *[("memory_settings", name) for name in ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem")],
    *[
        ("disk_settings", name)
        for name in ("random_page_cost", "effective_io_concurrency", "max_wal_size", "checkpoint_timeout")
    ],
    ("disk_settings", "checkpoint_completion_target"),
    *[
        ("autovacuum_settings", f"autovacuum{name}")
        for name in ("", "_naptime", "_vacuum_scale_factor", "_vacuum_cost_delay", "_max_workers")
    ],
    *[("logging_settings", f"log_{name}") for name in ("min_duration_statement", "lock_waits", "temp_files", "checkpoints")],
    *[("logging_settings", name) for name in ("log_autovacuum_min_duration", "track_io_timing")],
    *[("timeout_settings", name) for name in ("idle_in_transaction_session_timeout", "deadlock_timeout")],
    *[("safety_settings", name) for name in ("fsync", "zero_damaged_pages", "ignore_checksum_failure")],
    *[("core_settings", name) for name in ("max_worker_processes", "max_parallel_workers_per_gather")],
    ("missing_extension", "pg_stat_statements"),
    ("archive_failing", "archive_command"),
    ("cache_hit_rate", "shop"),
    ("checkpoint_pressure", "max_wal_size"),
    ("wal_rate", "wal"),
    ("slot_lag", "forgotten"),
    ("replication_lag", "stalled"),
    ("deadlocks", "shop"),
    ("idle_in_transaction", "postgres@forgetful"),
    ("long_transaction", "postgres@reporter"),
    ("lock_queue", "public.t"),
    ("connection_use", "max_connections"),
    ("prepared_transaction", "shop.half"),
]
