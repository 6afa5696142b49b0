"""The API's description, OpenAPI 3.1: routes and parameters as the framework knows them, bodies and answers from
the `*_schemas` modules.

Handlers read bodies raw and answer with bytes, so what they take and give is said beside them, by `documented`; a
test compares it with what they really answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.types import ControllerRouterHandler

from milepost.web import activity_schemas, schemas
from milepost.web.request import ON_BEHALF, granted, granted_or_views, views
from milepost.web.standards.described import described

__all__ = ["CONFIG", "describe", "documented"]

TEMPLATE = "#/components/schemas/{name}"
# What no route of the framework names: of `_intake`, and what may come everywhere.
OWN_SHAPES = (
    activity_schemas.Activities,
    activity_schemas.ActivityIn,
    activity_schemas.Taken,
    activity_schemas.Pending,
    schemas.ProblemShown,
)
TAGS = {
    "Activities": "Send activities, list them, read, correct and retract one.",
    "Standards": "What Segment's SDKs, CloudEvents and OpenTelemetry's exporters send, by the maps of the model.",
    "Files": "Images, videos and other files that activities name: uploaded to and read from the object store itself.",
    "Feeds": "Activities newest first, of a group, an actor or an object; whom and what an actor follows.",
    "Boards": "Rankings that the model declares: pages, and one member's standing.",
    "Numbers": "Rollups, goals, latest and pairs, as the model declares them.",
    "Entities": "Actors, groups and who is a member of which.",
    "Access": "Who may read and do what.",
    "Running it": "Health, metrics, and what an administrator asks.",
}
VIEWER = (
    ON_BEHALF.title(),
    "The actor on whose behalf a key reads, percent-encoded: it sees what that actor may see, and no more.",
)
INTRODUCTION = """Activities go in by `POST /v1/activities` and come out of feeds and exact numbers.

Times are RFC 3339, ids are the app's own strings, errors are RFC 9457 problem details. Lists answer `items` and `next`; a page
never repeats or skips an item because of writes in between. A GET answer has an ETag, and `If-None-Match` gets 304."""


def documented(
    tag: str,
    answer: type[msgspec.Struct] | None = None,
    *,
    aggregates: type[msgspec.Struct] | None = None,
    body: type[msgspec.Struct] | None = None,
    changes: bool = False,
    data_filters: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
    body_media_type: str = "application/json",
    binary: bool = False,
) -> dict[str, Any]:
    """A route's `opt`. aggregates: the answer instead where it was asked for them. changes: goes through the lane, so it may answer 202. headers: (name, description) that it
    looks at. binary: it takes bytes of any kind."""
    return {
        "tag": tag,
        "answer": answer,
        "aggregates": aggregates,
        "body": body,
        "changes": changes,
        "data_filters": data_filters,
        "headers": headers,
        "body_media_type": body_media_type,
        "binary": binary,
    }


class _Unserved(Router):
    """The framework would serve the description under /schema, with pages of its own: ours is at /openapi.json."""

    def register(self, value: ControllerRouterHandler) -> list[Any]:
        return []


CONFIG = OpenAPIConfig(
    title="milepost",
    version=version("milepost"),
    description=INTRODUCTION,
    tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
    components=Components(
        security_schemes={
            "key": SecurityScheme(type="http", scheme="bearer", description="A key: `milepost key create`."),
            "viewerToken": SecurityScheme(
                type="http", scheme="bearer", bearer_format="JWT", description="Of one actor: `POST /v1/admin/viewer-tokens`."
            ),
            "writeKey": SecurityScheme(type="http", scheme="basic", description="A key as the user name, without a password."),
        }
    ),
    security=[{"key": []}],
    openapi_router=_Unserved("/", route_handlers=[]),
)


def describe(app: Litestar) -> dict[str, Any]:
    """The whole document."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    shapes = set(OWN_SHAPES)
    for route in app.routes:
        handlers: Mapping[str, Any] = getattr(route, "route_handler_map", {})
        for method, (handler, _) in handlers.items():
            operation = document["paths"].get(route.path_format or "/", {}).get(method.lower())
            if operation is not None and "tag" in handler.opt:
                guards = handler.resolve_guards()
                viewed = views in guards or granted_or_views in guards
                _complete(operation, handler.opt, guarded=bool(guards), viewed=viewed, method=method)
                if granted in guards:
                    operation["security"] = []
                shapes |= {handler.opt[part] for part in ("answer", "aggregates", "body")} - {None}
    _, components = msgspec.json.schema_components(sorted(shapes, key=lambda shape: shape.__name__), ref_template=TEMPLATE)
    document["components"]["schemas"] = components
    document["paths"]["/v1/activities"]["post"] = _intake()
    document["paths"] |= described(_problem())
    return document


def _complete(operation: dict[str, Any], opt: dict[str, Any], *, guarded: bool, viewed: bool, method: str) -> None:
    operation["tags"] = [opt["tag"]]
    if not guarded:
        operation["security"] = []
    elif viewed:
        operation["security"] = [{"key": []}, {"viewerToken": []}]
    parameters = operation.setdefault("parameters", [])
    for name, text in (*opt["headers"], *((VIEWER,) if viewed else ())):
        parameters.append({"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}})
    if opt["data_filters"]:
        parameters.append(
            {
                "name": "data.NAME",
                "in": "query",
                "required": False,
                "description": "Only where the declared data field NAME has this value; NAME as the model declares it.",
                "schema": {"type": "string"},
            }
        )
    if opt["body"] is not None:
        operation["requestBody"] = {"required": True, "content": {opt["body_media_type"]: {"schema": _ref(opt["body"])}}}
    if opt["binary"]:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    success: dict[str, Any] = {"description": "Done."}
    status = "200"
    if opt["answer"] is None and method == "DELETE":
        status = "204"
    elif opt["answer"] is not None:
        answers = [_ref(one) for one in (opt["answer"], opt["aggregates"]) if one is not None]
        success["content"] = {"application/json": {"schema": answers[0] if len(answers) == 1 else {"anyOf": answers}}}
    responses = {status: success}
    if opt["changes"]:
        responses["202"] = {
            "description": "Durable, and not done yet.",
            "content": {"application/json": {"schema": _ref(activity_schemas.Pending)}},
        }
    elif guarded and method == "GET":
        responses["304"] = {"description": "As it was: the ETag is one of If-None-Match's."}
    operation["responses"] = responses | ({"default": _problem()} if guarded else {})


def _intake() -> dict[str, Any]:
    """The one route that the framework does not know: it is answered before it."""
    taken = {"application/json": {"schema": _ref(activity_schemas.Taken)}}
    header = {"in": "header", "required": False, "schema": {"type": "string"}}
    return {
        "tags": ["Activities"],
        "summary": "Send activities",
        "operationId": "SendActivities",
        "description": "Up to 10,000 activities and 20 MiB, as JSON or as one a line; gzip and zstd are accepted. Each "
        "activity stands alone: those that are wrong are named, the others are taken.",
        "parameters": [
            {
                "name": "Prefer",
                "description": "`wait=5` waits up to so many seconds (at most 30) until they are readable; "
                "`return=representation` answers their ids.",
                **header,
            },
            {"name": "Idempotency-Key", "description": "Makes the whole request repeatable for 24 hours.", **header},
            {"name": "Content-Encoding", "description": "gzip or zstd.", **header},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _ref(activity_schemas.Activities)},
                "application/x-ndjson": {"schema": _ref(activity_schemas.ActivityIn)},
            },
        },
        "responses": {
            "200": {"description": "Loaded: they are readable everywhere.", "content": taken},
            "202": {"description": "Durable: they will be loaded.", "content": taken},
            "default": _problem(),
        },
    }


def _problem() -> dict[str, Any]:
    return {"description": "A problem.", "content": {"application/problem+json": {"schema": _ref(schemas.ProblemShown)}}}


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": TEMPLATE.format(name=struct.__name__)}
