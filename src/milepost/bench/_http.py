"""A small HTTP load generator: a few connections, requests made beforehand, so that its own cost stays out of the figure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter

__all__ = ["Outcome", "request_bytes", "send"]


@dataclass(kw_only=True)
class Outcome:
    """latencies: seconds from when a request was due to its whole answer. statuses: how often each came."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


def request_bytes(path: str, key: str, body: bytes, *, method: str = "POST", prefer: str | None = None) -> bytes:
    """prefer: the header of that name."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
    if prefer is not None:
        head += f"Prefer: {prefer}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def send(port: int, streams: list[list[bytes]], *, per_second: float | None = None) -> Outcome:
    """Send each stream on a connection of its own, one request at a time. per_second: of all requests; else as fast as goes."""
    outcome = Outcome()
    began = perf_counter()
    gap = None if per_second is None else len(streams) / per_second
    await asyncio.gather(
        *(
            _stream(port, requests, outcome, began + (gap or 0.0) * number / len(streams), gap)
            for number, requests in enumerate(streams)
        )
    )
    outcome.seconds = perf_counter() - began
    return outcome


async def _stream(port: int, requests: Iterable[bytes], outcome: Outcome, due: float, gap: float | None) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for request in requests:
            if gap is None:
                due = perf_counter()
            elif (early := due - perf_counter()) > 0:
                await asyncio.sleep(early)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            outcome.latencies.append(perf_counter() - due)
            outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
            if gap is not None:
                due += gap
    finally:
        writer.close()
        await writer.wait_closed()
