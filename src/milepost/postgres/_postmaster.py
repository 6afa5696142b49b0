"""What the data folder itself says about the server that runs on it, and the locks by which processes share that
server.

PostgreSQL writes `postmaster.pid` into its data folder. After kill -9, or in a container that begins counting its
process ids anew, that file lies: so a process counts as this folder's server only if it is a PostgreSQL that works in
this folder.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from milepost.errors import DatabaseUnavailable

__all__ = ["Postmaster", "SharedLock", "disarm", "end_leftovers", "exclusive", "find_postmaster"]

POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Postmaster:
    """A server at work on a data folder. `socket_dir` holds its socket; `status` is `starting`, `ready` or
    `stopping`.
    """

    pid: int
    data: Path
    socket_dir: Path
    status: str

    def alive(self) -> bool:
        return serves(self.pid, self.data)

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended in time. For a server that is not our child, so that `waitpid` does not know it."""
        deadline = time.monotonic() + timeout_s
        if hasattr(os, "pidfd_open"):
            try:
                handle = os.pidfd_open(self.pid)
            except ProcessLookupError:
                return True
            except OSError:
                pass  # a kernel before 5.3
            else:
                try:
                    return bool(select.select([handle], [], [], timeout_s)[0])
                finally:
                    os.close(handle)
        while self.alive() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return not self.alive()


def find_postmaster(data: Path) -> Postmaster | None:
    """The server that works on this data folder now, if there is one."""
    lines = read_pid_file(data)
    # Shorter for an instant while the server starts; it has no socket yet, so there is nothing to attach to either.
    if len(lines) < 5 or not serves(int(lines[0]), data):
        return None
    return Postmaster(
        pid=int(lines[0]),
        data=data,
        socket_dir=Path(lines[4]),
        status=lines[7].strip() if len(lines) > 7 else "starting",
    )


def read_pid_file(data: Path) -> list[str]:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
    return lines if lines and lines[0].strip().isdigit() else []


def serves(pid: int, data: Path) -> bool:
    """Whether process `pid` is a PostgreSQL at work on `data`. A dead one that nobody has waited for is not."""
    if sys.platform == "linux":
        process = Path("/proc") / str(pid)
        try:
            return (process / "cwd").readlink() == data.resolve() and (process / "comm").read_text() == "postgres\n"
        except OSError:
            return False
    said = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return "postgres" in said.stdout and str(data) in said.stdout


def disarm(data: Path) -> None:
    """Lets a server start on `data` although the process id in its stale lock file now belongs to another process.

    PostgreSQL would refuse to start until that process ends. The file cannot go: it also names the shared memory by
    which PostgreSQL finds backends that outlived a killed server. But the server's own parent's id is known not to be
    a server's.
    """
    lines = read_pid_file(data)
    if lines and find_postmaster(data) is None and int(lines[0]) != os.getpid():
        (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")


def end_leftovers(data: Path) -> int:
    """Ends the backends of a killed server that are still at work on `data`; how many there were.

    They would notice by themselves at their next wait, which a long sort or scan may not reach for minutes. Until then no
    new server can start. What they do is lost in any case. Only where the system shows us its processes.
    """
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        if serves(pid, data):
            found += 1
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
    return found


class SharedLock:
    """A mark that this process uses something. The kernel takes it away when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def others(self) -> bool:
        """Whether anybody else has this mark. Only reliable under an `exclusive` lock that all who mark take."""
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        held = self._file >= 0
        try:
            if held:
                fcntl.flock(self._file, fcntl.LOCK_UN)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(file)
            if held:
                fcntl.flock(self._file, fcntl.LOCK_SH)


@contextmanager
def exclusive(path: Path, timeout_s: float) -> Iterator[None]:
    """Holds a lock file for the block; raises `DatabaseUnavailable` if it is not free within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable(
                        f"Another process has been starting or stopping the PostgreSQL of {path.parent} for {timeout_s:g} s."
                    ) from None
                time.sleep(POLL_S)
        yield
    finally:
        os.close(file)
