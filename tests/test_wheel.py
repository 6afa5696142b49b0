"""The wheel: everything that the package needs at run time is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

from milepost.demo import SYSTEMS, model_text

ROOT = Path(__file__).parent.parent


def test_it_holds_the_whole_package(tmp_path: Path) -> None:
    """Every module, query, migration and page; and the demo's models as files, though they are links here."""
    uv = shutil.which("uv", path=os.pathsep.join([str(ROOT / ".uv" / "bin"), os.environ.get("PATH", "")]))
    if uv is None:
        pytest.skip("there is no uv in .uv/bin or on PATH")
    words = [uv, "build", "--wheel", "--offline", "--quiet", "--out-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if "offline" in built.stderr.lower():
        pytest.skip(f"the build backend is not at hand: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    with ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
        package = ROOT / "src" / "milepost"
        files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {path.relative_to(ROOT / "src").as_posix() for path in files} <= held
        for system in SYSTEMS:
            assert wheel.read(f"milepost/demo/models/{system}.toml").decode() == model_text(system)
