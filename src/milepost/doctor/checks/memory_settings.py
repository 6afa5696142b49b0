"""Settings of memory, against the machine's."""

from __future__ import annotations

from milepost.doctor.checks.check import GIB, MIB
from milepost.doctor.checks.setting_rules import Rule, settings_check

__all__ = ["CHECK"]

CHECK = settings_check(
    name="memory_settings",
    title="Memory settings that do not fit the machine",
    why="The defaults are for a machine of 1 GB.",
    rules=(
        Rule(
            name="shared_buffers",
            severity="warning",
            why="Pages are looked for there first: a quarter of the machine is usual.",
            better=lambda it, machine, _: (
                f"{min(machine.memory_bytes // 4, 16 * GIB) // MIB}MB"
                if machine.memory_bytes
                and not min(machine.memory_bytes // 16, 2 * GIB) <= it.number <= machine.memory_bytes * 0.6
                else None
            ),
        ),
        Rule(
            name="effective_cache_size",
            severity="notice",
            why="By it the planner guesses whether an index will be in memory.",
            better=lambda it, machine, _: (
                f"{machine.memory_bytes * 6 // 10 // MIB}MB"
                if machine.memory_bytes and not machine.memory_bytes * 0.25 <= it.number <= machine.memory_bytes
                else None
            ),
        ),
        Rule(
            name="work_mem",
            severity="warning",
            why="Each sort and hash of each connection may take that much: together more than the machine has.",
            better=lambda it, machine, all: (
                f"{max(4, int(machine.memory_bytes // 4 // all['max_connections'].number // MIB))}MB"
                if machine.memory_bytes and it.number * all["max_connections"].number > machine.memory_bytes
                else None
            ),
        ),
        Rule(
            name="maintenance_work_mem",
            severity="notice",
            why="Index builds and vacuum go over the table again for each time that it fills.",
            better=lambda it, machine, _: (
                f"{min(machine.memory_bytes // 32, GIB) // MIB}MB"
                if machine.memory_bytes and it.number < min(machine.memory_bytes // 64, 256 * MIB)
                else None
            ),
        ),
    ),
)
