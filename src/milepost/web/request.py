"""The request as handlers see it: whose it is, what it is made with, and what a cursor of it is bound to."""

from __future__ import annotations

from time import time
from typing import Any, Literal, cast
from urllib.parse import unquote

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from milepost.access.keys import Principal
from milepost.access.viewer import Viewer
from milepost.access.viewer_tokens import is_viewer_token
from milepost.errors import FieldError, Forbidden, InvalidInput, Unauthorized
from milepost.web.bodies import decompress
from milepost.web.services import Services

__all__ = [
    "ON_BEHALF",
    "ApiRequest",
    "admins",
    "authorize",
    "granted",
    "granted_or_views",
    "knows",
    "mints",
    "reads",
    "unescape",
    "views",
    "writes",
]

ON_BEHALF = "milepost-viewer"  # the header by which a key says for which actor it reads

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

    @property
    def viewer(self) -> Viewer:
        """On whose behalf the request reads: on a route with the guard `views`, an actor's or the key's own."""
        return self.user.viewer

    def question(self) -> str:
        """What a cursor of this request is bound to: tenant, viewer, route with its ids, and every parameter but where and how much."""
        asked = sorted((name, value) for name, value in self.query_params.multi_items() if name not in ("cursor", "limit"))
        viewer = "" if self.viewer.sees_all else f"{self.viewer.actor!r} "
        return f"{self.user.tenant_id} {viewer}{self.scope['path']} {asked!r}"

    def position(self, cursor: str | None) -> bytes | None:
        """What `answers.page` was given for the page before. Raises `InvalidInput`."""
        return None if cursor is None else self.services.cursors.open(self.question(), cursor)

    def name_after(self, cursor: str | None) -> str:
        """After which name a list in the order of names goes on (`answers.page_by_name`). Raises `InvalidInput`."""
        return (self.position(cursor) or b"").decode()

    async def whole_body(self) -> bytes:
        """The body, decompressed. Raises as `milepost.web.bodies` does."""
        headers = dict(self.scope["headers"])
        with self.services.gate.bodies.held(self.user.tenant_id) as held:
            raw = await held.read(headers, self.receive)
            return decompress(raw, headers.get(b"content-encoding", b""))


def unescape(part: str) -> str:
    """An id from a path."""
    return part.replace(SLASH, "/")


async def authorize(services: Services, authorization: str | None, *scopes: str) -> Principal:
    """authorization: the header. scopes: one of them the key must have; none: any key will do. Raises `Unauthorized`, `Forbidden`."""
    credential = _credential(authorization)
    if is_viewer_token(credential):
        await services.viewers.verify(credential)
        raise Forbidden("A viewer token may only read, and this needs a key.")
    principal = await services.keys.verify(credential)
    if scopes and not principal.scopes.intersection(scopes):
        raise Forbidden(f"The key has not the scope {' or '.join(scopes)}: it has {', '.join(sorted(principal.scopes))}.")
    return principal


async def reads(connection: ApiConnection, _: BaseRouteHandler) -> None:
    """A key, for itself: the route shows all of its tenant, so it is closed to viewers."""
    await _guard(connection, "read")


async def views(connection: ApiConnection, _: BaseRouteHandler) -> None:
    """A viewer token, or a key that may read, for itself or on an actor's behalf. The route shows what `request.viewer` may see."""
    services: Services = connection.app.state.services
    authorization, on_behalf = connection.headers.get("authorization"), connection.headers.get(ON_BEHALF)
    credential = _credential(authorization)
    if not is_viewer_token(credential):
        principal = await authorize(services, authorization, "read")
        if on_behalf is not None:
            principal = await services.viewers.on_behalf(principal, _actor(on_behalf))
    elif on_behalf is not None:
        raise Forbidden("A viewer token reads as its own actor, on nobody else's behalf.")
    else:
        principal = await services.viewers.verify(credential)
    connection.scope["user"] = principal


async def granted(connection: ApiConnection, _: BaseRouteHandler) -> None:
    """A URL that milepost has signed, for a file and a method: whoever holds it is let in, and `request.state.tenant_id` is whose file it is."""
    services: Services = connection.app.state.services
    method: Literal["GET", "PUT"] = "PUT" if cast("Any", connection.scope)["method"] == "PUT" else "GET"
    given = services.files.tickets.granted(method, connection.path_params["file"], connection.query_params.get("grant", ""))
    if given is None or given.until < time():
        raise Forbidden("This URL was not signed here, or has ended: ask for another one.")
    connection.state.tenant_id = given.tenant_id


async def granted_or_views(connection: ApiConnection, handler: BaseRouteHandler) -> None:
    """Either."""
    await (granted if "grant" in connection.query_params else views)(connection, handler)


async def writes(connection: ApiConnection, _: BaseRouteHandler) -> None:
    await _guard(connection, "write")


async def admins(connection: ApiConnection, _: BaseRouteHandler) -> None:
    await _guard(connection, "admin")


async def mints(connection: ApiConnection, _: BaseRouteHandler) -> None:
    """A key that may make viewer tokens."""
    await _guard(connection, "write", "admin")


async def knows(connection: ApiConnection, _: BaseRouteHandler) -> None:
    """Any key of the tenant."""
    await _guard(connection)


async def _guard(connection: ApiConnection, *scopes: str) -> None:
    if ON_BEHALF in connection.headers:
        # It must not be taken for a narrower read than it is.
        raise Forbidden("This cannot be done on an actor's behalf: leave the header Milepost-Viewer away.")
    connection.scope["user"] = await authorize(connection.app.state.services, connection.headers.get("authorization"), *scopes)


def _credential(authorization: str | None) -> str:
    scheme, _, credential = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("A key is required: Authorization: Bearer KEY.")
    return credential.strip()


def _actor(header: str) -> str:
    """The id of the header: what is not ASCII in it, or is a `%`, is written as in a URL. Raises `InvalidInput`."""
    try:
        return unquote(header.encode("ascii").decode(), errors="strict")
    except UnicodeError:
        detail = "must be an actor's id, percent-encoded as in a URL"
        raise InvalidInput(errors=(FieldError("/Milepost-Viewer", detail),)) from None
