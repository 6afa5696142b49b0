"""Servers: which Redis has a lane's stream: the only one, the one that Sentinels name, or one of a Cluster.

`of(key)` answers with a client of that one server: its pipelines then go over one connection, as WAIT needs, and what is asked about
persistence is asked of the server that keeps the stream. Clients never repeat a command by themselves: a repeated XADD would be a
second batch. How it fails: `QueueUnavailable` where no server can be found, `SettingsError` for a URL that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError

from milepost.errors import QueueUnavailable
from milepost.intake.streams.address import Address, wrong_url

__all__ = ["ANSWER_S", "Redis", "Servers", "ask", "reached"]

CONNECT_S = 1.0
ANSWER_S = 2.0  # a server that says nothing for so long is away


class Servers:
    """One a task or process, as its user likes. answer_s: how long a server may say nothing; longer for who blocks in XREAD."""

    def __init__(self, url: str, *, name: str, answer_s: float = ANSWER_S) -> None:
        self._address = Address.of(url)
        self._options: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_S,
            "socket_timeout": answer_s,
            "retry": Retry(NoBackoff(), 0),
            "client_name": f"milepost/{name}",
            "protocol": 2,
        }
        self._sentinel: Sentinel | None = None
        self._clients: dict[tuple[str, int], Redis] = {}
        self._slots: list[tuple[int, int, tuple[str, int]]] = []  # of a Cluster: first, last, who has them

    @property
    def are_many(self) -> bool:
        """Whether two keys may lie on two servers."""
        return self._address.kind == "cluster"

    async def of(self, key: bytes) -> Redis:
        """A client of the server that has `key`. Kept, and not to be closed. Raises `QueueUnavailable`."""
        if self.are_many:
            return self._at(await self._owner(key))
        if ("", 0) not in self._clients:
            self._clients["", 0] = self._by_sentinel() if self._address.kind == "sentinel" else self._single()
        return self._clients["", 0]

    def look_again(self) -> None:
        """Something has moved or failed: a Cluster's owners are asked for anew. (A Sentinel is at each new connection.)"""
        self._slots = []

    async def close(self) -> None:
        """Safe twice."""
        clients, self._clients = self._clients, {}
        sentinel, self._sentinel = self._sentinel, None
        for client in [*clients.values(), *(sentinel.sentinels if sentinel else ())]:
            await client.aclose()

    def _single(self) -> Redis:
        try:
            return _plain(Redis.from_url(self._address.url, **self._options))
        except ValueError as error:
            raise wrong_url(str(error)) from error

    def _by_sentinel(self) -> Redis:
        about = self._address
        quick = {name: self._options[name] for name in ("socket_connect_timeout", "retry", "protocol")}
        own = quick | {"socket_timeout": ANSWER_S} | about.sentinel_options
        self._sentinel = Sentinel(list(about.hosts), sentinel_kwargs=own)  # type: ignore[no-untyped-call]
        return _plain(self._sentinel.master_for(about.service, **about.options, **self._options))

    def _at(self, where: tuple[str, int]) -> Redis:
        if where not in self._clients:
            client = Redis(host=where[0], port=where[1], **self._address.options, **self._options)
            self._clients[where] = _plain(client)
        return self._clients[where]

    async def _owner(self, key: bytes) -> tuple[str, int]:
        slot = key_slot(key)
        if not self._slots:
            await self._ask_for_slots()
        for first, last, where in self._slots:
            if first <= slot <= last:
                return where
        raise QueueUnavailable(f"No server of the Redis Cluster has the slot {slot}.")

    async def _ask_for_slots(self) -> None:
        """Of whichever answers first, those seen before included: the ones in the URL may be gone for good."""
        failed: BaseException | None = None
        for where in dict.fromkeys([*self._address.hosts, *self._clients]):
            client = self._at(where)
            try:
                answer = await ask(client, "CLUSTER SLOTS")
            except QueueUnavailable as error:
                failed = error
                continue
            # An owner without a name is the one that was asked.
            self._slots = [(first, last, (_text(owner[0]) or where[0], owner[1])) for first, last, owner, *_ in answer]
            return
        raise QueueUnavailable(f"No server of the Redis Cluster answers: {failed}") from failed


@contextmanager
def reached() -> Iterator[None]:
    """Turns what the driver raises into `QueueUnavailable`, which keeps it as its cause."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        said = str(error) or type(error).__name__
        raise QueueUnavailable(f"Redis: {said}") from error


async def ask(client: Redis, *words: Any) -> Any:
    """One command, and what Redis answered."""
    with reached():
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]


def _plain(client: Redis) -> Redis:
    """Hands out these answers as they came: INFO comes with each group that is written, and is cheaper to look into as bytes than to
    make a dict of; of entries every field is wanted, in its order."""
    for command in ("INFO", "CONFIG GET", "XREAD", "XRANGE"):
        client.set_response_callback(command, _as_it_came)
    return client


def _as_it_came(response: Any, **kwargs: Any) -> Any:
    return response


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
