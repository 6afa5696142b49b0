"""The machine that a server runs on: its memory, cores and kind of disk, by which settings are judged.

Asked of the server itself where its user may read files there; a server on a Unix socket or on the loopback runs on this machine. What is
not known is None, and what depends on it is not judged. A container's limit counts where it is less than the machine's.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from milepost.doctor.target import Target
from milepost.errors import DatabaseError
from milepost.postgres import Connection, dict_row, load_queries, translated

__all__ = ["Machine", "find_machine"]

queries = load_queries(__package__, "machine.sql")

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
MEMINFO, CPUINFO, CGROUP_MEMORY = "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup/memory.max"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """memory_bytes, cores: None if not known. disk: what is assumed of it. source: where this was learnt."""

    memory_bytes: int | None = None
    cores: int | None = None
    disk: Literal["ssd", "hdd"] = "ssd"
    source: str = "not known"

    def told(self, *, memory_bytes: int | None = None, cores: int | None = None, disk: str | None = None) -> Machine:
        """The same with what somebody knows better."""
        given = {"memory_bytes": memory_bytes, "cores": cores, "disk": disk}
        known = {name: value for name, value in given.items() if value is not None}
        return replace(self, **known, source="given") if known else self  # type: ignore[arg-type]


async def find_machine(target: Target, connection: Connection) -> Machine:
    """Never raises for what it may not read."""
    try:
        with translated(connection):
            async with connection.transaction():
                cursor = connection.cursor(row_factory=dict_row)
                await cursor.execute(queries.files, {"meminfo": MEMINFO, "cpuinfo": CPUINFO, "cgroup": CGROUP_MEMORY})
                row = await cursor.fetchone()
    except DatabaseError:  # no right to read files there
        row = None
    if row is not None and row["meminfo"]:
        return _of(row["meminfo"], row["cpuinfo"] or "", row["cgroup"] or "", "the server")
    return _here() if _is_local(target.url) else Machine()


def _here() -> Machine:
    meminfo, cgroup = Path(MEMINFO), Path(CGROUP_MEMORY)
    if not meminfo.is_file():
        return Machine(cores=os.cpu_count(), source="this machine")
    limit = cgroup.read_text() if cgroup.is_file() else ""
    return replace(_of(meminfo.read_text(), "", limit, "this machine"), cores=os.cpu_count())


def _of(meminfo: str, cpuinfo: str, cgroup: str, source: str) -> Machine:
    total = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    memory = int(total[1]) * 1024 if total else None
    if memory is not None and cgroup.strip().isdigit():
        memory = min(memory, int(cgroup))
    cores = len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)) or None
    return Machine(memory_bytes=memory, cores=cores, source=source)


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    return host in LOCAL or host == "" or host.startswith("/")
