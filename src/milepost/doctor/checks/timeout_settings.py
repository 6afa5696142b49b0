"""Timeouts without which one session can stop all others."""

from __future__ import annotations

from milepost.doctor.checks.setting_rules import Rule, settings_check

__all__ = ["CHECK"]

CHECK = settings_check(
    name="timeout_settings",
    title="Nothing ends a session that is stuck",
    why="One forgotten COMMIT holds locks, and vacuum, for as long as it likes.",
    rules=(
        Rule(
            name="idle_in_transaction_session_timeout",
            severity="notice",
            why="A session may idle in a transaction for ever.",
            better=lambda it, *_: "5min" if it.number == 0 else None,
        ),
        Rule(
            name="deadlock_timeout",
            severity="notice",
            why="Those in a deadlock wait that long before it is looked for.",
            better=lambda it, *_: "1s" if it.number > 10_000 else None,
        ),
    ),
)
