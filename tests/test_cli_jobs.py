"""`milepost jobs`: list, run, history and set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from milepost.jobs.catalogue import JOBS

if TYPE_CHECKING:
    from fix_cli import Command

pytest_plugins = ["fix_cli"]


def test_jobs_by_hand(command: Command) -> None:
    """A run by hand is in the history with what it answered; the list says when the next is due; times can be changed."""
    listed = command("jobs", "list", "--json").json["items"]
    assert [one["name"] for one in listed] == [job.name for job in JOBS]
    assert {one["every"] for one in listed} >= {"day", "week", "month", "quarter"}
    ran = command("jobs", "run", "summary", "--json")
    assert (ran.code, ran.json["outcome"]) == (0, "done")
    (run,) = command("jobs", "history", "summary", "--json").json["items"]
    assert run["result"]["dead_letter_rows"] == 0
    assert "summary" in command("jobs", "history").out
    assert "summary: done" in command("jobs", "run", "summary").out
    changed = command("jobs", "set", "refresh", "--every", "hour", "--hours", "8-18", "--pause", "--json").json
    assert changed == {"name": "refresh", "every": "hour", "hours": [8, 18], "time_zone": "UTC", "paused": True}
    assert "paused" in command("jobs", "list").out


def test_what_cannot_be_is_refused(command: Command) -> None:
    """A wrong name, hours and a failing job: exit codes 2 or 3, and 1."""
    unknown = command("jobs", "run", "nothing")
    assert unknown.code != 0
    assert "there are partitions" in unknown.err
    assert command("jobs", "set", "refresh", "--hours", "late").code == 2
    failed = command("jobs", "run", "refresh", "--refresh-views", "app.none", "--json")
    assert (failed.code, failed.json["outcome"]) == (1, "failed")
