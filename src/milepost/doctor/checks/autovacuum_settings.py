"""Settings of autovacuum."""

from __future__ import annotations

from milepost.doctor.checks.setting_rules import Rule, settings_check

__all__ = ["CHECK"]

CHECK = settings_check(
    name="autovacuum_settings",
    title="Autovacuum is off, or held too short",
    why="Without it tables bloat, plans go wrong, and in the end the server stops.",
    rules=(
        Rule(
            name="autovacuum",
            severity="critical",
            why="Nothing cleans tables, keeps statistics, or freezes rows in time.",
            better=lambda it, *_: None if it.on else "on",
        ),
        Rule(
            name="track_counts",
            severity="critical",
            why="Autovacuum works by these counters.",
            better=lambda it, *_: None if it.on else "on",
        ),
        Rule(
            name="autovacuum_naptime",
            severity="notice",
            why="A table that is written much is due again sooner.",
            better=lambda it, *_: "1min" if it.number > 300_000 else None,
        ),
        Rule(
            name="autovacuum_vacuum_scale_factor",
            severity="notice",
            why="Half of a table may be dead before it is looked after.",
            better=lambda it, *_: "0.1" if it.number > 0.3 else None,
        ),
        Rule(
            name="autovacuum_vacuum_cost_delay",
            severity="notice",
            why="At the pace of 2005, a large table takes days.",
            better=lambda it, *_: "2ms" if it.number >= 10 else None,
        ),
        Rule(
            name="autovacuum_max_workers",
            severity="notice",
            why="One large table keeps all others waiting.",
            better=lambda it, *_: "3" if it.number < 2 else None,
        ),
    ),
)
