"""Settings of processes, against the machine's cores."""

from __future__ import annotations

from milepost.doctor.checks.setting_rules import Rule, settings_check

__all__ = ["CHECK"]

CHECK = settings_check(
    name="core_settings",
    title="More processes than the machine can run",
    why="What cannot run waits, and holds its locks and memory meanwhile.",
    rules=(
        Rule(
            name="max_connections",
            severity="notice",
            why="Each one at work beyond two or three for a core only waits; a pool keeps them few.",
            better=lambda it, machine, _: (
                f"{max(100, 50 * machine.cores)}" if machine.cores and it.number > max(300, 100 * machine.cores) else None
            ),
        ),
        Rule(
            name="max_parallel_workers_per_gather",
            severity="notice",
            why="One report takes every core from everyone else.",
            better=lambda it, machine, _: (
                f"{max(1, machine.cores // 2)}" if machine.cores and it.number > max(2, machine.cores) else None
            ),
        ),
        Rule(
            name="max_worker_processes",
            severity="notice",
            why="Parallel statements find no worker, though there are cores.",
            better=lambda it, machine, _: str(machine.cores) if machine.cores and it.number < min(machine.cores, 8) else None,
        ),
    ),
)
