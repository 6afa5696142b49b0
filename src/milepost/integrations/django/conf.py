"""`settings.MILEPOST`, checked once, and the client that it describes.

| key | what it is |
|---|---|
| `URL`, `KEY` | of the server; without them `MILEPOST_URL` and `MILEPOST_KEY`, and without an address nothing is sent |
| `ENABLED` | False sends nothing |
| `OPTIONS` | more arguments of `milepost.Milepost`, such as `spool_dir` |
| `CLIENT` | makes another client: a function without arguments, or the dotted path of one |
| `SINK` | where changed rows go: a function as in `sinks`, or its dotted path |
| `ACTOR` | from a request to the id of who makes it, or None: a function, or its dotted path |
| `SYSTEM_ACTOR` | who acts where there is no request |
| `ATTACH` | other names in `data` for what the context knows, None to leave it out |
| `TRUSTED_PROXIES` | addresses and networks whose `X-Forwarded-For` is believed; `unix` for a socket |
| `REQUESTS` | arguments of `RequestActivity`, for requests as activities; None for none |

Raises ImproperlyConfigured, naming the key, when Django starts.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from os import environ
from threading import RLock
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from milepost.client import Milepost
from milepost.errors import SettingsError
from milepost.integrations._request import Proxies
from milepost.integrations.context import Client, InContext
from milepost.integrations.django.sinks import Sink, after_commit
from milepost.integrations.request_activity import RequestActivity

__all__ = ["DjangoSettings", "Nowhere", "client", "log", "place", "sends", "settings"]


_one_at_a_time = RLock()  # two threads' first requests must not make two clients


@dataclass(frozen=True, kw_only=True)
class DjangoSettings:
    """`settings.MILEPOST` with its functions found and its parts made."""

    url: str | None = None
    key: str | None = field(default=None, repr=False)
    enabled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    client: Callable[[], Client] | None = None
    sink: Sink = after_commit
    actor: Callable[[Any], str | None] | None = None
    system_actor: str = "system"
    attach: Mapping[str, str | None] = field(default_factory=dict)
    trusted_proxies: Proxies = field(default_factory=Proxies)
    requests: RequestActivity | None = None


_MADE: Mapping[str, Callable[[Any], Any]] = {
    "client": lambda given: import_string(given) if isinstance(given, str) else given,
    "sink": lambda given: import_string(given) if isinstance(given, str) else given,
    "actor": lambda given: import_string(given) if isinstance(given, str) else given,
    "trusted_proxies": Proxies,
    "requests": lambda given: None if given is None else RequestActivity(**given),
}


class Nowhere:
    """The client of an app that has no server: what is logged is gone, which `manage.py check` says."""

    def log(self, verb: str, actor: str, **_: Any) -> None:
        """Does nothing."""

    def flush(self, timeout: float | None = None) -> bool:
        return True


@cache
def settings() -> DjangoSettings:
    """Raises ImproperlyConfigured."""
    given: Mapping[str, Any] = getattr(django_settings, "MILEPOST", {})
    made: dict[str, Any] = {}
    known = {name.upper() for name in DjangoSettings.__dataclass_fields__}
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ImproperlyConfigured(f"MILEPOST: there is no {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        name = key.lower()
        try:
            made[name] = _MADE[name](value) if name in _MADE else value
        except (ImportError, TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"MILEPOST[{key!r}]: {error}") from error
    return DjangoSettings(**made)


def client() -> InContext:
    """This process's client, made at its first use. Raises ImproperlyConfigured."""
    with _one_at_a_time:
        return _client()


@cache
def _client() -> InContext:
    told = settings()
    try:
        return InContext(_make(told), attach=told.attach, actor=told.system_actor)
    except (SettingsError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"MILEPOST: {error}") from error


def _make(told: DjangoSettings) -> Client:
    if told.client is not None:
        return told.client()
    if not sends():
        return Nowhere()
    return Milepost(told.url, told.key, **told.options)


def sends() -> bool:
    """Is there a server, and may it be used?"""
    told = settings()
    return told.enabled and bool(told.client or place()[0])


def place() -> tuple[str, str]:
    """The server's address and this app's key, as the client takes them; empty where there is none."""
    told = settings()
    return (told.url or environ.get("MILEPOST_URL", "")).rstrip("/"), told.key or environ.get("MILEPOST_KEY", "")


def log(verb: str, actor: str | None = None, **more: Any) -> None:
    """Logs an activity with the context of this request: as `Milepost.log`, with its actor if none is given."""
    client().log(verb, actor, **more)


def _forget(*, setting: str, **_: Any) -> None:
    """A test has overridden the settings."""
    if setting == "MILEPOST":
        settings.cache_clear()
        _client.cache_clear()


setting_changed.connect(_forget, dispatch_uid="milepost")
