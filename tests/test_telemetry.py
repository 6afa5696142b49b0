"""The table of metrics, and logs."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from milepost.telemetry import EVENTS, configure_logs, count, gauge, observe, render


def sample(name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(render().decode()):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return found.value
    return 0.0


def test_what_is_counted_is_shown() -> None:
    """A counter adds up, a gauge is what it was last set to, a histogram counts; a label not given is empty."""
    before = sample("milepost_loaded_rows_total", lane="3")
    count("loaded_rows", 5, lane=3)
    count("loaded_rows", lane=3)
    gauge("lane_lag_seconds", 1.5, lane=3)
    observe("receipt_seconds", 0.01)
    count("http_requests", route="/v1")
    assert sample("milepost_loaded_rows_total", lane="3") == before + 6
    assert sample("milepost_lane_lag_seconds", lane="3") == 1.5
    assert sample("milepost_receipt_seconds_count") >= 1
    assert sample("milepost_http_requests_total", method="", route="/v1", status="") >= 1


def test_what_is_not_in_the_table_raises() -> None:
    """A misspelt name, a wrong kind and an unknown label are our mistakes, and are found at once."""
    with pytest.raises(KeyError):
        count("loaded_row")
    with pytest.raises(ValueError, match="loaded_rows is a counter"):
        gauge("loaded_rows", 1)
    with pytest.raises(ValueError, match="no label tenant"):
        count("loaded_rows", tenant="x")


def test_every_event_is_described_and_can_be_shown() -> None:
    """The table is API: names are unique words, each with a unit and a sentence."""
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    for event in EVENTS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", event.name)
        assert event.description.endswith("."), event.name
        assert event.unit, event.name
        assert not {"tenant", "actor", "group"} & set(event.labels), event.name


@pytest.fixture
def logs_put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = structlog.get_config(), root.handlers[:], root.level
    yield
    structlog.configure(**before[0])
    root.handlers[:] = before[1]
    root.setLevel(before[2])


@pytest.mark.usefixtures("logs_put_back")
def test_logs_are_json_lines_or_for_people() -> None:
    """Our messages and other libraries' come out the same way, above the level asked for, with their facts."""
    stream = io.StringIO()
    configure_logs("warning", "json", stream)
    structlog.get_logger("x").info("not this")
    structlog.get_logger("x").warning("ours", lane=1)
    logging.getLogger("psycopg.pool").warning("theirs: %s", "x")
    try:
        raise ValueError("oops")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("ours", "warning"),
        ("theirs: x", "warning"),
        ("failed", "error"),
    ]
    assert lines[0]["lane"] == 1
    assert lines[2]["exception"][0]["exc_value"] == "oops"

    stream = io.StringIO()
    configure_logs("info", "console", stream)
    structlog.get_logger("x").info("started", port=8080)
    assert "started" in stream.getvalue()
    assert "port=8080" in stream.getvalue()
