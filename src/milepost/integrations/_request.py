"""What a context keeps of a request, whichever framework brings it: never its query string, its body, its cookies.

The remote address is the peer's, unless the peer is a proxy that was named as trusted: then it is the last address in
`X-Forwarded-For` that is not one of those. What a stranger writes into that header is never believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from uuid import uuid4

from milepost.integrations._text import masked_path, text
from milepost.integrations._trace import traceparent_ids

__all__ = ["TEXT_MAX", "Proxies", "request_fields", "user_id"]

TEXT_MAX = 256  # characters: what a field that is a filter may have

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_WITH_PORT = re.compile(r"\[(?P<six>[^]]+)\](:\d+)?|(?P<four>\d+\.\d+\.\d+\.\d+):\d+")
_PARTS_OF_A_USER = ("pk", "id", "sub", "username", "identity", "display_name")


class Proxies:
    """trusted: addresses and networks (`10.0.0.0/8`), and `unix` for a peer without an address. Raises ValueError for anything else."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        if isinstance(trusted, str):
            raise ValueError(f"trusted_proxies: a list of addresses and networks, not the text {trusted!r}")
        words = list(trusted)
        self._unix = "unix" in words
        self._networks = [ip_network(word) for word in words if word != "unix"]

    def remote(self, peer: str | None, forwarded: str | None) -> str | None:
        """The address that the request came from. peer: None or empty on a Unix socket."""
        seen = peer or None
        if not self._trusts(peer):
            return seen
        for hop in reversed([_bare(hop) for hop in (forwarded or "").split(",") if hop.strip()]):
            if _address(hop) is None:
                return None  # what the proxy had to write there is no address, and it is not the proxy who asks
            seen = hop
            if not self._trusts(hop):
                break
        return seen

    def _trusts(self, peer: str | None) -> bool:
        if not peer:
            return self._unix
        address = _address(peer)
        return address is not None and any(
            address in network for network in self._networks if network.version == address.version
        )


def _address(written: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(written)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _bare(hop: str) -> str:
    """Without the port that some proxies write."""
    hop = hop.strip()
    found = _WITH_PORT.fullmatch(hop)
    return (found["six"] or found["four"]) if found else hop


def request_fields(
    *, method: str, path: str, peer: str | None, header: Callable[[str], str | None], proxies: Proxies
) -> dict[str, Any]:
    """header: looks one up by its name in lower case."""
    sent_id = header("x-request-id") or ""
    agent = header("user-agent")
    return {
        "request_id": sent_id if _REQUEST_ID.fullmatch(sent_id) else uuid4().hex,
        "method": text(method, 16),
        "path": text(masked_path(path), TEXT_MAX),
        "ip": proxies.remote(peer, header("x-forwarded-for")),
        "user_agent": text(agent, TEXT_MAX) if agent else None,
        **traceparent_ids(header("traceparent")),
    }


def user_id(user: Any) -> str | None:
    """The id of whatever a framework calls its user: a text, a number, a mapping, an object. None for nobody, and if none is found."""
    if user is None or getattr(user, "is_authenticated", True) is False:
        return None
    if isinstance(user, str | int):
        return str(user) or None
    for part in _PARTS_OF_A_USER:
        try:
            found = user.get(part) if isinstance(user, dict) else getattr(user, part, None)
        except NotImplementedError:  # Starlette's users have parts that only a subclass fills
            continue
        if isinstance(found, bytes):
            found = found.decode("utf-8", "replace")
        if found is not None and not callable(found) and str(found):
            return str(found)
    return None
