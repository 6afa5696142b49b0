"""Settings of the embedded server, chosen from the machine: a demo on two cores and a container with 1 GB both work.

A server given by `MILEPOST_DATABASE_URL` is never touched; these are for the one we start ourselves.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["server_settings"]

MIB = 1 << 20
SHARED_BUFFERS_MIN_MIB = 128
SHARED_BUFFERS_MAX_MIB = 8192
DEV_SHM_ENOUGH_BYTES = 512 * MIB

# Only for tests and scratch copies: a crash of the machine loses the data folder. A crash of PostgreSQL alone does not. Commits wait for their
# WAL all the same: VACUUM does not mark as all visible what was committed and is not written yet, and index-only scans then go to the table.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


def server_settings(bin_dir: Path, *, durable: bool) -> dict[str, str]:
    """The settings for the command line of `postgres` (each `-c name=value`)."""
    memory_mib = memory_bytes() // MIB
    settings = {
        "shared_buffers": f"{between(SHARED_BUFFERS_MIN_MIB, memory_mib // 4, SHARED_BUFFERS_MAX_MIB)}MB",
        "effective_cache_size": f"{max(256, memory_mib // 2)}MB",
        "maintenance_work_mem": f"{between(64, memory_mib // 32, 256)}MB",
        "max_connections": "120",
        # The binaries know pglz alone, which costs about 0.1 ms a page: the loads right after a checkpoint took seconds.
        "wal_compression": "off",
        "min_wal_size": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "max_slot_wal_keep_size": "8GB",  # a forgotten replication slot must not fill the disk
        "random_page_cost": "1.1",
        "jit": "off",
        "autovacuum_naptime": "15s",
        "track_io_timing": "on",
        "track_activity_query_size": "4096",
        # What the doctor asks of every server; but no value of a statement goes into the log, since values are people's data.
        "log_min_duration_statement": "1s",
        "log_parameter_max_length": "0",
        "log_lock_waits": "on",
        "log_temp_files": "64MB",
        "idle_in_transaction_session_timeout": "10min",
        "log_line_prefix": "%m [%p] %q%a ",
        "log_timezone": "UTC",
        "timezone": "UTC",
        "cluster_name": "milepost",
    }
    if sys.platform == "linux":
        settings["effective_io_concurrency"] = "64"
        if not large_enough(Path("/dev/shm")):
            # Containers get 64 MB there by default, which one parallel hash join can fill.
            settings["dynamic_shared_memory_type"] = "sysv"
    if has_library(bin_dir, "pg_stat_statements"):
        settings["shared_preload_libraries"] = "pg_stat_statements"
    if not durable:
        settings |= NOT_DURABLE
    return settings


def between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


def memory_bytes() -> int:
    """This machine's memory, or this container's if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    return min(machine, int(allowed)) if allowed.isdigit() else machine


def large_enough(shared_memory: Path) -> bool:
    if not shared_memory.is_dir():
        return False
    size = os.statvfs(shared_memory)
    return size.f_blocks * size.f_frsize >= DEV_SHM_ENOUGH_BYTES


def has_library(bin_dir: Path, name: str) -> bool:
    """Whether a loadable library is installed (naming one that is not keeps the server from starting)."""
    folders = (bin_dir.parent / "lib", bin_dir.parent / "lib" / "postgresql")
    return any((folder / f"{name}{suffix}").is_file() for folder in folders for suffix in (".so", ".dylib"))
