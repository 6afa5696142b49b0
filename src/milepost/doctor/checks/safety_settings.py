"""Settings that trade the data for speed."""

from __future__ import annotations

from milepost.doctor.checks.setting_rules import Rule, settings_check

__all__ = ["CHECK"]

CHECK = settings_check(
    name="safety_settings",
    title="Settings that can lose the data",
    why="They make a benchmark faster, and a crash the end of the database.",
    rules=(
        Rule(
            name="fsync",
            severity="critical",
            why="A crash of the machine loses the database.",
            better=lambda it, *_: None if it.on else "on",
        ),
        Rule(
            name="full_page_writes",
            severity="critical",
            why="A crash in the middle of a page leaves half of it.",
            better=lambda it, *_: None if it.on else "on",
        ),
        Rule(
            name="zero_damaged_pages",
            severity="critical",
            why="Damaged pages are emptied without a word.",
            better=lambda it, *_: "off" if it.on else None,
        ),
        Rule(
            name="ignore_checksum_failure",
            severity="critical",
            why="Damaged pages are served.",
            better=lambda it, *_: "off" if it.on else None,
        ),
    ),
)
