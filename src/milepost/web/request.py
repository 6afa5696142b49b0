"""The request as handlers see it: whose it is, what it is made with, and what a cursor of it is bound to."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from milepost.access.keys import Principal
from milepost.errors import Forbidden, Unauthorized
from milepost.web.bodies import decompress
from milepost.web.services import Services

__all__ = ["ApiRequest", "admins", "authorize", "knows", "reads", "unescape", "writes"]

# Stands for an escaped slash between the server's unescaping and ours: an id may hold a slash, and none holds this.
SLASH = "\0"

ApiConnection = ASGIConnection[Any, Principal, Any, State]


class ApiRequest(Request[Principal, Any, State]):
    """`user` is the `Principal`, where the route has a guard."""

    __slots__ = ()

    @property
    def services(self) -> Services:
        services = self.app.state.services
        assert isinstance(services, Services)
        return services

    def question(self) -> str:
        """What a cursor of this request is bound to: tenant, route with its ids, and every parameter but where and how much."""
        asked = sorted((name, value) for name, value in self.query_params.multi_items() if name not in ("cursor", "limit"))
        return f"{self.user.tenant_id} {self.scope['path']} {asked!r}"

    def position(self, cursor: str | None) -> bytes | None:
        """What `answers.page` was given for the page before. Raises `InvalidInput`."""
        return None if cursor is None else self.services.cursors.open(self.question(), cursor)

    async def whole_body(self) -> bytes:
        """The body, decompressed. Raises as `milepost.web.bodies` does."""
        headers = dict(self.scope["headers"])
        with self.services.gate.bodies.held(self.user.tenant_id) as held:
            raw = await held.read(headers, self.receive)
            return decompress(raw, headers.get(b"content-encoding", b""))


def unescape(part: str) -> str:
    """An id from a path."""
    return part.replace(SLASH, "/")


async def authorize(services: Services, authorization: str | None, scope: str | None) -> Principal:
    """authorization: the header. scope: what the key must allow; None: any key will do. Raises `Unauthorized`, `Forbidden`."""
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("A key is required: Authorization: Bearer KEY.")
    principal = await services.keys.verify(key.strip())
    if scope is not None and scope not in principal.scopes:
        raise Forbidden(f"The key has not the scope {scope}: it has {', '.join(sorted(principal.scopes))}.")
    return principal


async def reads(connection: ApiConnection, _: BaseRouteHandler) -> None:
    await _guard(connection, "read")


async def writes(connection: ApiConnection, _: BaseRouteHandler) -> None:
    await _guard(connection, "write")


async def admins(connection: ApiConnection, _: BaseRouteHandler) -> None:
    await _guard(connection, "admin")


async def knows(connection: ApiConnection, _: BaseRouteHandler) -> None:
    """Any key of the tenant."""
    await _guard(connection, None)


async def _guard(connection: ApiConnection, scope: str | None) -> None:
    connection.scope["user"] = await authorize(connection.app.state.services, connection.headers.get("authorization"), scope)
