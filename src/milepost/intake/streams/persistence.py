"""Persistence: what a Redis server does with what it acknowledges, and whether that is enough.

Redis answers an XADD whether or not it keeps anything on disk. So the section `persistence` of its INFO is asked for after each group,
and the group is acknowledged only if that says that the append-only file is on and was written. How
often the file is synced, and whether streams may be evicted, changes seldom: that is looked at each `LOOK_S`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from milepost.errors import QueueUnavailable, SettingsError
from milepost.intake.streams.servers import Redis, ask
from milepost.settings import Settings

__all__ = ["LOOK_S", "REPLICAS_MS", "Persistence", "require_kept"]

LOOK_S = 10.0
REPLICAS_MS = 1000
AOF_OFF = (
    "Redis has its append-only file switched off: what it acknowledges is gone when it ends. Set `appendonly yes` in its configuration"
    " (or `CONFIG SET appendonly yes` on the running server), or MILEPOST_REDIS_WITHOUT_AOF=true where losing activities is acceptable"
)
FILE_IS_WHOLE = (b"aof_rewrite_in_progress:0", b"aof_rewrite_scheduled:0", b"aof_last_bgrewrite_status:ok")


@dataclass(frozen=True, kw_only=True, slots=True)
class Persistence:
    """What one server says of itself. fsync: `always`, `everysec`, `no`, or '' where it does not tell."""

    aof: bool
    fsync: str
    evicts: str  # a policy by which it may evict streams, or ''
    replica: bool

    @classmethod
    async def of(cls, client: Redis) -> Persistence:
        """Raises `QueueUnavailable`."""
        about = _lines(await ask(client, "INFO"))
        try:
            _, fsync = await ask(client, "CONFIG GET", "appendfsync")
        except QueueUnavailable as error:
            if not isinstance(error.__cause__, ResponseError):
                raise
            fsync = b""  # hosted servers do not let one ask
        policy = about.get("maxmemory_policy", "")
        bounded = about.get("maxmemory", "0") != "0"
        return cls(
            aof=about.get("aof_enabled") == "1",
            fsync=fsync.decode(),
            evicts=policy if bounded and policy.startswith("allkeys-") else "",
            replica=about.get("role") == "slave",
        )

    def require(self, settings: Settings) -> None:
        """Raises `SettingsError` where batches may not be trusted to this server, with what to set."""
        if not self.aof and not settings.redis_without_aof:
            raise SettingsError(f"redis_url: {AOF_OFF}.", setting="redis_url")
        if self.evicts:
            raise SettingsError(
                f"redis_url: Redis may evict what it has acknowledged (maxmemory-policy {self.evicts}): set it to noeviction or to one"
                " that begins with volatile-.",
                setting="redis_url",
            )
        if self.replica:
            raise QueueUnavailable("Redis is a replica, which takes no writes.")

    def promise(self, replicas: int) -> str:
        """What an acknowledgement is worth, in a sentence."""
        if not self.aof:
            kept = "Without its append-only file, Redis loses with its process what has not been moved to PostgreSQL"
        else:
            kept = {
                "always": "What is acknowledged survives a crash of Redis and of its machine (appendfsync always)",
                "everysec": "What is acknowledged survives a crash of Redis; a crash of its machine may lose about the last second of"
                " what has not been moved to PostgreSQL (appendfsync everysec)",
                "no": "What is acknowledged survives a crash of Redis; a crash of its machine may lose the last half minute of what has"
                " not been moved to PostgreSQL (appendfsync no)",
            }.get(self.fsync, "What is acknowledged survives a crash of Redis; Redis does not tell how often it syncs its file")
        return f"{kept}; {replicas} replicas have it as well." if replicas else f"{kept}."


def require_kept(info: Any, replicas: int | None, settings: Settings, *, proven: bool) -> None:
    """Raises `QueueUnavailable` where what was written may not be acknowledged.

    info: INFO's section `persistence`, asked for after the answer to the write. replicas: how many have it, where that matters.
    proven: whether this server has kept what was written before. A file that was switched on under way is worth something only when
    its first rewrite is done, and INFO does not tell that one from any later one: without the proof, none may be under way.
    """
    if isinstance(info, Exception):
        raise QueueUnavailable(f"Redis: {info}") from info
    if reason := _unfit(info, settings, proven):
        raise QueueUnavailable(reason)
    if replicas is not None and replicas < settings.redis_replicas:
        wanted = settings.redis_replicas
        raise QueueUnavailable(f"{replicas} of {wanted} replicas had it within {REPLICAS_MS} ms.", limit=wanted)


def _unfit(info: bytes, settings: Settings, proven: bool) -> str | None:
    """Why a group that was written may not be acknowledged, from INFO's section `persistence`; None if it may."""
    if b"\r\nloading:1" in info:
        return "Redis is loading its data."
    if b"aof_enabled:1" not in info:
        return None if settings.redis_without_aof else f"{AOF_OFF}."
    if b"aof_last_write_status:ok" not in info:
        return "Redis cannot write its append-only file: see its log."
    if not proven and not all(done in info for done in FILE_IS_WHOLE):
        return "Redis is rewriting its append-only file, which may be its first."
    return None


def _lines(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in pairs if colon}
