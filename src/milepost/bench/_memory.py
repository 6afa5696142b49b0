"""Memory of processes over time, by the part they play. A part that dies and comes back goes on as the same one.

What is counted of a process is its resident memory without what it shares: PostgreSQL's buffers fill up once and are one for all its
processes. A part played by several is the sum of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from milepost.bench._report import percentile

__all__ = ["Memory", "children_of", "resident_bytes"]


def resident_bytes(pid: int) -> int | None:
    """Resident bytes that are the process's own. None: it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in lines:
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return None  # a zombie has none


def children_of(pid: int) -> dict[int, str]:
    """The command line of each child, by process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == pid:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
    return found


@dataclass(kw_only=True)
class Memory:
    """samples: of each part, (seconds since the start, bytes)."""

    samples: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def note(self, at_s: float, parts: Mapping[str, Iterable[int]]) -> None:
        """parts: the process ids of each. A part of which none lives has no sample."""
        for part, pids in parts.items():
            found = [size for pid in pids if (size := resident_bytes(pid)) is not None]
            if found:
                self.samples.setdefault(part, []).append((at_s, sum(found)))

    def height(self, part: str, since_s: float, until_s: float) -> float:
        """What it held or less in 90 % of that time, in bytes: near its most. (A mean would tell how long processes had been dead.)

        0 where there is no sample.
        """
        found = [float(size) for at_s, size in self.samples.get(part, []) if since_s <= at_s < until_s]
        return percentile(found, 0.9) if found else 0.0
