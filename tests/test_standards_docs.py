"""docs/standards.md: its maps are ones that the demo's model takes, and its paths are those that are served."""

from __future__ import annotations

import json
import re
from pathlib import Path

from milepost.demo import model_text
from milepost.model import parse_model
from milepost.web.standards.described import described
from milepost.web.standards.otlp_records import from_json
from test_standards_otlp import record, request

PAGE = (Path(__file__).parents[1] / "docs" / "standards.md").read_text(encoding="utf-8")


def test_the_maps_of_the_page() -> None:
    """Together with the fitness model they are a model."""
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    model = parse_model("\n".join([model_text("fitness"), *blocks]))
    assert {name: len(one.activities) for name, one in model.maps.items()} == {"segment": 2, "otlp": 1}
    assert model.maps["segment"].activities[0] == model.maps["segment"].activities[1]  # the page shows the demo's own


def test_the_paths_of_the_page() -> None:
    """Every path that is served stands in its first table."""
    table = PAGE[: PAGE.index("\n## ")]
    assert set(re.findall(r"`(/v1/\w+)`", table)) == set(described({}))


def test_the_record_of_the_page() -> None:
    """A log record has the members that the page shows, and a key."""
    shown = json.loads(next(block for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if "event_name" in block))
    (row,) = from_json(json.dumps(request(record())).encode())
    assert row.keys() - {"key"} == shown.keys()
