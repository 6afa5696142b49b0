"""What a client can be told, checked once. docs/client.md has the consequences of each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path
from urllib.parse import urlsplit

from milepost.errors import SettingsError

__all__ = ["ClientSettings", "client_settings"]

KIBI, MEBI, GIBI = 2**10, 2**20, 2**30
KEY_OF_TENANT = re.compile(r"mp_([1-9][0-9]{0,9})_", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """url, key: of the server. spool_dir: where folders for files are made; those for one tenant on one server share one.

    delay_s: how long activities gather before they are sent together. batch_activities_max, batch_bytes_max: of one request,
    before compression. memory_activities_max, memory_bytes_max: of what waits in memory, as JSON; from half of either on,
    it is moved to disk. spool_bytes_max: of the folder, 0 for no files at all. spill_after_s: how long the server may be away
    before what waits goes to disk. timeout_s: of connecting, and of waiting for an answer. retry_s_max: the longest pause
    between attempts (unless the server asks for a longer one). exit_timeout_s: how long the end of the process may take.
    """

    url: str
    key: str
    spool_dir: Path | None
    delay_s: float = 0.05
    batch_activities_max: int = 1_000
    batch_bytes_max: int = MEBI
    memory_activities_max: int = 100_000
    memory_bytes_max: int = 64 * MEBI
    spool_bytes_max: int = GIBI
    spill_after_s: float = 3.0
    timeout_s: float = 10.0
    retry_s_max: float = 30.0
    exit_timeout_s: float = 5.0

    def __repr__(self) -> str:
        return f"ClientSettings(url={self.url!r})"  # the key is a secret

    @property
    def folder(self) -> Path | None:
        """Where this client's files lie. By address and tenant, so that none is ever sent as another tenant's, and so that
        what a revoked key left behind is sent with the next one."""
        if self.spool_dir is None or not self.spool_bytes_max:
            return None
        tenant = KEY_OF_TENANT.match(self.key)
        whose = f"tenant {tenant[1]}" if tenant else self.key
        return self.spool_dir / blake2b(f"{self.url}\0{whose}".encode(), digest_size=10).hexdigest()


# Bounds: at least, at most.
BOUNDS: dict[str, tuple[float, float]] = {
    "delay_s": (0, 60),
    "batch_activities_max": (1, 10_000),
    "batch_bytes_max": (KIBI, 16 * MEBI),
    "memory_activities_max": (10, 10_000_000),
    "memory_bytes_max": (64 * KIBI, 16 * GIBI),
    "spool_bytes_max": (0, 1024 * GIBI),
    "spill_after_s": (0, 3600),
    "timeout_s": (0.01, 600),
    "retry_s_max": (0.01, 3600),
    "exit_timeout_s": (0, 600),
}


def client_settings(url: str | None, key: str | None, spool_dir: str | Path | None, given: dict[str, float]) -> ClientSettings:
    """What was given, else MILEPOST_URL, MILEPOST_KEY and MILEPOST_SPOOL_DIR, else the defaults. Raises `SettingsError`."""
    url = os.environ.get("MILEPOST_URL") if url is None else url
    key = os.environ.get("MILEPOST_KEY") if key is None else key
    if not url:
        raise SettingsError("There is no address of a server: give url, or set MILEPOST_URL.")
    if not key:
        raise SettingsError("There is no key: give key, or set MILEPOST_KEY.")
    if not isinstance(url, str) or not isinstance(key, str):
        raise SettingsError("url and key must be texts.")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username:
        raise SettingsError(f"{url!r} is not the address of a server, such as https://milepost.example.com.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError("The key has characters that no key has.")
    spool_dir = os.environ.get("MILEPOST_SPOOL_DIR") or _state_folder() if spool_dir is None else spool_dir
    known = {field.name for field in fields(ClientSettings)}
    for name, value in given.items():
        low, high = BOUNDS[name]
        assert name in known
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise SettingsError(f"{name} is {value!r}: it must be a number from {low:g} to {high:g}.")
    whole = {name: int(value) if name.endswith("_max") and name != "retry_s_max" else value for name, value in given.items()}
    folder = Path(spool_dir).expanduser() if spool_dir else None
    return ClientSettings(url=url.rstrip("/"), key=key, spool_dir=folder, **whole)  # type: ignore[arg-type]


def _state_folder() -> str | None:
    """The user's folder for state (XDG Base Directory Specification); None for a user without a home."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        try:
            state = Path.home() / ".local" / "state"
        except RuntimeError:
            return None
    return str(state / "milepost" / "spool")
