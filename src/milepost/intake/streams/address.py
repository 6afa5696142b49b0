"""Address: the setting `redis_url` taken apart, by kind: one server, one behind Sentinels, or a Cluster.

    redis://host:6379/0   rediss://…   unix:///run/redis.sock
    redis+sentinel://host:26379,host2:26379/service[/db][?sentinel_username=…&sentinel_password=…]      rediss+sentinel://…
    redis+cluster://host:6379,host2:6379                                                              rediss+cluster://…

A login (`user:password@`) is the servers' own; with TLS, options such as `ssl_ca_certs` follow the `?`. What says nothing raises
`SettingsError`, without the URL: it holds a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from milepost.errors import SettingsError

__all__ = ["Address", "wrong_url"]

PORT, SENTINEL_PORT = 6379, 26379


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A URL taken apart. hosts: of Sentinels, or of some of a Cluster's servers."""

    kind: str
    url: str
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # of connections to the servers
    sentinel_options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises `SettingsError`."""
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        if kind == "" and scheme in ("redis", "rediss", "unix"):
            return cls(kind="single", url=url)
        if kind not in ("sentinel", "cluster") or scheme not in ("redis", "rediss"):
            raise wrong_url("it begins with none of redis://, rediss://, unix://, redis+sentinel://, redis+cluster://")
        login, _, where = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        asked = dict(parse_qsl(parts.query))
        path = [unquote(part) for part in parts.path.split("/") if part]
        hosts = tuple(_host(one, SENTINEL_PORT if kind == "sentinel" else PORT) for one in where.split(",") if one)
        if not hosts:
            raise wrong_url("it names no host")
        options: dict[str, Any] = {"username": unquote(user) or None, "password": unquote(password) or None}
        if scheme == "rediss":
            options |= {"ssl": True} | {name: value for name, value in asked.items() if name.startswith("ssl_")}
        if kind == "cluster":
            return cls(kind=kind, url=url, hosts=hosts, options=options)
        if not path:
            raise wrong_url("it names no service, as redis+sentinel://host:26379/service does")
        if len(path) > 1 and not path[1].isdigit():
            raise wrong_url(f"the database {path[1]!r} is no number")
        own = {name.removeprefix("sentinel_"): value for name, value in asked.items() if name.startswith("sentinel_")}
        if scheme == "rediss":
            own |= {name: value for name, value in options.items() if name.startswith("ssl")}
        options["db"] = int(path[1]) if len(path) > 1 else 0
        return cls(kind=kind, url=url, hosts=hosts, service=path[0], options=options, sentinel_options=own)


def _host(written: str, port: int) -> tuple[str, int]:
    host, colon, digits = written.rpartition(":") if not written.endswith("]") else (written, "", "")
    if not colon:
        host, digits = written, str(port)
    if not digits.isdigit() or not host:
        raise wrong_url(f"{written!r} is no host:port")
    return host.strip("[]"), int(digits)


def wrong_url(why: str) -> SettingsError:
    return SettingsError(f"redis_url: the value must be a Redis URL; {why}.", setting="redis_url")
