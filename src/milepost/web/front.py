"""What a person sees who opens the server in a browser: a plain page, the API's description, and what a problem means."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from typing import Any

from litestar import MediaType, Response, get

from milepost.errors import NotFound
from milepost.web.answers import tagged
from milepost.web.openapi import describe
from milepost.web.parameters import IdInPath
from milepost.web.problems import KINDS
from milepost.web.request import ApiRequest

__all__ = ["routes"]

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>milepost</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem }}
  body {{ color: #222; background: #fff }}
  h1 {{ margin-bottom: 0 }} code {{ font-size: 0.95em }} dt {{ margin-top: 0.6rem; font-weight: 600 }} dd {{ margin-left: 0 }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #181818 }} a {{ color: #8bf }} }}
</style>
<h1>milepost</h1>
<p>Version {version}. Activities go in, and come out of feeds and exact numbers.</p>
<ul>
  <li><a href="/openapi.json">/openapi.json</a>: the API, described
  <li><a href="/healthz">/healthz</a>: up; <a href="/readyz">/readyz</a>: able to take and load activities, or what is missing
  <li><a href="/metrics">/metrics</a>: for Prometheus
</ul>
{sections}
</html>
"""


@get("/", include_in_schema=False)
async def front(request: ApiRequest) -> Response[str]:
    document = _document(request)
    parts = []
    for tag in document["tags"]:
        operations = [
            f"<dt><code>{method.upper()} {escape(path)}</code><dd>{escape(operation.get('summary', ''))}"
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if isinstance(operation, dict) and tag["name"] in operation.get("tags", ())
        ]
        parts.append(f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p><dl>{''.join(operations)}</dl>")
    html = PAGE.format(version=escape(version("milepost")), sections="\n".join(parts))
    policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(html, media_type=MediaType.HTML, headers=policy)


@get("/openapi.json", include_in_schema=False)
async def openapi(request: ApiRequest) -> Response[bytes]:
    return tagged(request, _document(request))


@get("/problems/{slug:str}", include_in_schema=False)
async def problem(slug: IdInPath) -> Response[str]:
    kind = KINDS.get(slug)
    if kind is None:
        raise NotFound(f"There is no problem {slug!r}: there are {', '.join(KINDS)}.")
    return Response(f"{kind.status} {kind.title}\n\n{kind.meaning}\n", media_type=MediaType.TEXT)


def _document(request: ApiRequest) -> dict[str, Any]:
    """Made at first use, and kept."""
    state = request.app.state
    if "document" not in state:
        state["document"] = describe(request.app)
    document = state["document"]
    assert isinstance(document, dict)
    return document


routes = [front, openapi, problem]
