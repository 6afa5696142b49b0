"""Settings of the disk and of WAL."""

from __future__ import annotations

from milepost.doctor.checks.check import GIB
from milepost.doctor.checks.setting_rules import Rule, settings_check

__all__ = ["CHECK"]

CHECK = settings_check(
    name="disk_settings",
    title="Disk settings that do not fit the machine",
    why="The defaults are for a spinning disk, and for little writing.",
    rules=(
        Rule(
            name="random_page_cost",
            severity="notice",
            why="On an SSD a page out of order costs hardly more: with 4 the planner avoids indexes.",
            better=lambda it, machine, _: "1.1" if machine.disk == "ssd" and it.number >= 3 else None,
        ),
        Rule(
            name="effective_io_concurrency",
            severity="notice",
            why="An SSD answers many requests at once.",
            better=lambda it, machine, _: "64" if machine.disk == "ssd" and it.number < 16 else None,
        ),
        Rule(
            name="max_wal_size",
            severity="notice",
            why="When it is full, a checkpoint comes early, and pages are written whole again.",
            better=lambda it, machine, _: "4GB" if it.number < 2 * GIB else None,
        ),
        Rule(
            name="checkpoint_timeout",
            severity="notice",
            why="After each checkpoint the first change of a page writes it whole.",
            better=lambda it, machine, _: "15min" if it.number < 300_000 else None,
        ),
        Rule(
            name="checkpoint_completion_target",
            severity="notice",
            why="A checkpoint that hurries takes the disk from everyone else.",
            better=lambda it, machine, _: "0.9" if it.number < 0.7 else None,
        ),
        Rule(
            name="wal_compression",
            severity="notice",
            why="lz4 halves whole pages in WAL for little time.",
            better=lambda it, machine, _: "lz4" if it.text == "off" and "lz4" in it.choices else None,
        ),
    ),
)
