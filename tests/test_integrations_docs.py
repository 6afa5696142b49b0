"""docs/integrations.md: each program on it runs beside a server with the page's model, and all that it logs is taken."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration_site import PAGE, Site
from processes import environment

pytest_plugins = ["fix_integrations"]

PROGRAMS = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^<!-- runs: site -->\n```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S
)


def test_all_are_found() -> None:
    """One for each integration."""
    assert len(PROGRAMS) == PAGE.read_text("utf-8").count("<!-- runs: site -->") == 7


@pytest.mark.parametrize(("title", "program"), PROGRAMS, ids=[title for title, _ in PROGRAMS])
def test_a_program(title: str, program: str, site: Site, tmp_path: Path) -> None:
    """It ends without an error, and its activities are readable, with their actor."""
    script = tmp_path / "shop.py"
    script.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment(url=site.url, key=site.key, spool_dir=str(site.spool_dir)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "rejected" not in done.stderr
    found = site.read()
    assert {one["verb"] for one in found} & {"order", "log"}
    assert "system" in {one["actor"] for one in found} if title == "Django" else "user-17" in {one["actor"] for one in found}
