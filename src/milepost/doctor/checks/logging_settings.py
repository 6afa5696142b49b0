"""What the log says, and what is timed."""

from __future__ import annotations

from milepost.doctor.checks.setting_rules import Rule, settings_check

__all__ = ["CHECK"]

CHECK = settings_check(
    name="logging_settings",
    title="The log does not say what was slow",
    why="The day after an incident, the log is what there is.",
    rules=(
        Rule(
            name="log_min_duration_statement",
            severity="notice",
            why="Slow statements leave no trace.",
            better=lambda it, *_: "1s" if it.number < 0 else None,
        ),
        Rule(
            name="log_lock_waits",
            severity="notice",
            why="Who waited for whom leaves no trace.",
            better=lambda it, *_: None if it.on else "on",
        ),
        Rule(
            name="log_temp_files",
            severity="notice",
            why="Sorts on disk leave no trace.",
            better=lambda it, *_: "64MB" if it.number < 0 else None,
        ),
        Rule(
            name="log_checkpoints",
            severity="notice",
            why="Checkpoints leave no trace.",
            better=lambda it, *_: None if it.on else "on",
        ),
        Rule(
            name="log_autovacuum_min_duration",
            severity="notice",
            why="Long vacuums leave no trace.",
            better=lambda it, *_: "1min" if it.number < 0 else None,
        ),
        Rule(
            name="track_io_timing",
            severity="notice",
            why="Whether a statement waited for the disk is not known.",
            better=lambda it, *_: None if it.on else "on",
        ),
    ),
)
