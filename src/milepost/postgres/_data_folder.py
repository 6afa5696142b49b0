"""The embedded server's folders: who owns them, what made them, where its socket is.

Called by one process at a time (`EmbeddedServer` holds a lock), but any of them may be killed in the middle.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from milepost.errors import DatabaseUnavailable, SettingsError
from milepost.postgres._binaries import Identity, find_bin, identity, major_version, reachable_bin, start

__all__ = ["OWNER", "PORT", "make_data", "make_socket_dir", "own", "programs", "socket_file", "url_of"]

OWNER = "postgres"
PORT = 5432  # names the socket file only
SOCKET_PATH_BYTES_MAX = 107  # what fits into sockaddr_un


def own(data: Path) -> Identity:
    """As whom to run PostgreSQL on `data`; gives that user its folder, whose parents must let that user through."""
    who = identity(data)
    if who.uid is not None and who.gid is not None:
        os.chown(data.parent, who.uid, who.gid)
        if start(["test", "-w", data.parent], who, stdout=subprocess.DEVNULL).wait() != 0:
            raise DatabaseUnavailable(
                f"PostgreSQL does not run as root, and user {who.uid} cannot reach {data.parent}: choose a data folder whose "
                "parent folders others may enter, or run milepost as another user."
            )
    return who


def programs(data: Path, who: Identity, chosen: Path | None) -> Path:
    """The programs to run on `data`: of the version that made it, and within `who`'s reach."""
    bin_dir = find_bin(chosen=chosen)
    if data.exists():
        made_by = int((data / "PG_VERSION").read_text())
        if major_version(bin_dir) != made_by:
            bin_dir = find_bin(made_by, chosen=chosen)
        if major_version(bin_dir) != made_by:
            raise SettingsError(
                f"PostgreSQL {made_by} made {data}, but {bin_dir} is {major_version(bin_dir)}: name a folder of programs of "
                f"PostgreSQL {made_by} in MILEPOST_PG_BIN, or choose another data folder.",
                setting="pg_bin",
            )
    return reachable_bin(bin_dir, who)


def make_data(data: Path, bin_dir: Path, who: Identity, *, durable: bool, timeout_s: float) -> None:
    """initdb beside, then a rename: whoever is killed in between leaves no half of a data folder."""
    for half_made in data.parent.glob(f"{data.name}.new-*"):
        shutil.rmtree(half_made)
    beside = data.with_name(f"{data.name}.new-{os.getpid()}")
    # The built-in provider sorts by code point, and like no operating system: an upgrade of the system's C library cannot
    # corrupt our indexes.
    locales = (
        [["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
        if major_version(bin_dir) >= 17
        else [["--locale=C.UTF-8"], ["--locale=C"]]
    )
    words: list[str | Path] = [bin_dir / "initdb", "-D", beside, "-U", OWNER, "-A", "trust", "-E", "UTF8"]
    words += ["--data-checksums", "--no-instructions", *([] if durable else ["--no-sync"])]
    said = b""
    for locale in locales:
        shutil.rmtree(beside, ignore_errors=True)
        initdb = start([*words, *locale], who, stdout=subprocess.PIPE)
        said, _ = initdb.communicate(timeout=timeout_s)
        if initdb.returncode == 0:
            beside.rename(data)
            return
    raise DatabaseUnavailable(f"initdb made no data folder in {data.parent}:\n{said.decode(errors='replace')}")


def make_socket_dir(data: Path, who: Identity, kept: Path | None) -> Path:
    """A short folder that only we may enter: `kept`, so that a revived server keeps its address, or one for this data.

    The data folder itself would often have too long a path for a socket. No server may be at work there: what an earlier one
    has left is removed.
    """
    folder = kept if kept is not None else _usual_socket_dir(data)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), who.uid) or found.st_mode & 0o077:
        folder = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))  # somebody else took our name
    if who.uid is not None and who.gid is not None:
        os.chown(folder, who.uid, who.gid)
    socket = socket_file(folder)
    for leftover in (socket, socket.with_name(f"{socket.name}.lock")):
        leftover.unlink(missing_ok=True)
    return folder


def _usual_socket_dir(data: Path) -> Path:
    name = f"milepost-{os.geteuid()}-{blake2b(os.fsencode(data), digest_size=6).hexdigest()}"
    folder = Path(tempfile.gettempdir()) / name
    fits = len(os.fsencode(socket_file(folder))) + len("-12345678") <= SOCKET_PATH_BYTES_MAX
    return folder if fits else Path("/tmp") / name


def socket_file(folder: Path) -> Path:
    return folder / f".s.PGSQL.{PORT}"


def url_of(socket_dir: Path, dbname: str) -> str:
    # All is spelled out, so that PGPORT and the like in the environment change nothing.
    return f"postgresql://{OWNER}@/{quote(dbname, safe='')}?host={quote(str(socket_dir), safe='')}&port={PORT}"
