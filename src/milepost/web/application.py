"""The application, composed: every route, behind one edge, with one way to answer errors."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp
from litestar.typing import FieldDefinition

from milepost.web import (
    activities,
    actors,
    admin,
    alerts,
    boards,
    chain,
    content,
    dead_letters,
    erasures,
    export,
    feeds,
    files,
    follows,
    front,
    groups,
    health,
    home,
    invitations,
    jobs,
    members,
    numbers,
    pending,
    permissions,
    receipts,
    reports,
    retention,
    snapshots,
    unread,
    versions,
    viewer_tokens,
)
from milepost.web.edge import Edge
from milepost.web.intake import Intake
from milepost.web.openapi import CONFIG
from milepost.web.parameters import Known, refuse_wrong
from milepost.web.problems import MEDIA_TYPE, problem_of
from milepost.web.request import ApiRequest
from milepost.web.services import Services
from milepost.web.standards import doors

__all__ = ["build_app"]

RESOURCES = (
    activities,
    content,
    files,
    versions,
    feeds,
    follows,
    home,
    numbers,
    boards,
    snapshots,
    pending,
    reports,
    actors,
    groups,
    members,
    invitations,
    permissions,
    receipts,
    unread,
    viewer_tokens,
    admin,
    dead_letters,
    alerts,
    jobs,
    retention,
    erasures,
    chain,
    export,
    health,
    front,
)


def build_app(services: Services) -> ASGIApp:
    """The ASGI application over running services."""
    app = Litestar(
        route_handlers=[route for resource in RESOURCES for route in resource.routes],
        request_class=ApiRequest,
        exception_handlers={Exception: _answer_error},
        before_request=_refuse_wrong_parameters,
        openapi_config=CONFIG,
        state=State({"services": services}),
        logging_config=None,
        debug=False,
    )
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, arguments in route.route_handler_map.values():
                types = _types(handler)
                handler.opt["parameters"] = {
                    one.field_alias: _known(one.is_required, types[one.field_name]) for one in arguments.expected_query_params
                }
    return Edge(app, Intake(services), doors(services))


def _types(handler: HTTPRouteHandler) -> dict[str, tuple[FieldDefinition, ...]]:
    """Of each argument, also of those that it depends on, what it may be."""
    signatures = (handler.parsed_fn_signature, *(one.parsed_fn_signature for one in handler.resolve_dependencies().values()))
    return {
        name: (argument, *argument.inner_types) for signature in signatures for name, argument in signature.parameters.items()
    }


def _known(required: bool, types: tuple[FieldDefinition, ...]) -> Known:
    words = next((one.args for one in types if one.is_literal), ())
    return Known(required=required, words=words, text=any(one.annotation is str for one in types))


async def _refuse_wrong_parameters(request: Request[Any, Any, Any]) -> None:
    opt = request.route_handler.opt
    refuse_wrong(request.query_params.multi_items(), opt["parameters"], open_to="data." if opt.get("data_filters") else None)


def _answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem = problem_of(error)
    if problem.kind.slug == "not-ready" and isinstance(request, ApiRequest):
        request.services.models.refresh()
    return Response(problem.body(), status_code=problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE.decode())
