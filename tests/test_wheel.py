"""The wheel: everything that the package needs at run time is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from milepost.demo import SYSTEMS, model_text

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = shutil.which("uv", path=os.pathsep.join([str(ROOT / ".uv" / "bin"), os.environ.get("PATH", "")]))
    if uv is None:
        pytest.skip("there is no uv in .uv/bin or on PATH")
    words = [uv, "build", "--wheel", "--offline", "--quiet", "--out-dir", str(folder), str(ROOT)]
    built = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if "offline" in built.stderr.lower():
        pytest.skip(f"the build backend is not at hand: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def test_it_holds_the_whole_package(wheel: Path) -> None:
    """Every module, query, migration and page; and the demo's models as files, though they are links here."""
    with ZipFile(wheel) as opened:
        held = set(opened.namelist())
        package = ROOT / "src" / "milepost"
        files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {path.relative_to(ROOT / "src").as_posix() for path in files} <= held
        for system in SYSTEMS:
            assert opened.read(f"milepost/demo/models/{system}.toml").decode() == model_text(system)


def test_the_client_needs_nothing_else(wheel: Path, tmp_path: Path) -> None:
    """Installed without any dependency, in an interpreter that sees no other package, it works; and it tells that it is typed."""
    with ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    code = """
import sys
from milepost import AsyncMilepost, Milepost
client = Milepost("http://127.0.0.1:9", "mp_1_x", spool_dir=sys.argv[1])
client.log("run", "user-1")
assert not client.close(0)
assert client.counters().in_spool == 1
"""
    words = [sys.executable, "-S", "-c", code, str(tmp_path / "spool")]
    subprocess.run(words, check=True, cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, timeout=60)
    assert (tmp_path / "milepost" / "py.typed").exists()
