"""`GET /v1/activities/{id}/content`: an activity's content, whole, in part or in bytes, wherever it lies.

A content in the object store is streamed, each piece checked before it leaves; a part of it (`part`) or a range of its bytes costs
what it holds, not what the whole does. Its ETag is the digest of its text. With `digest` in the URL the answer can never change, and
says so to caches. While the store does not answer: 503, for contents alone.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Stream

from milepost.errors import NotFound
from milepost.storage.content import Contents, Kept, part_of
from milepost.web.activities import find
from milepost.web.answers import TAGGED, begun, matches, tagged
from milepost.web.openapi import documented
from milepost.web.parameters import IdInPath
from milepost.web.ranges import range_of
from milepost.web.request import ApiRequest, views

__all__ = ["routes"]

SIGNED_S = 300.0
IMMUTABLE = {**TAGGED, "cache-control": "private, max-age=31536000, immutable"}

Part = Annotated[
    str | None, QueryParameter(name="part", description="A JSON pointer (RFC 6901) into the content. All of it, if absent.")
]
Digest = Annotated[
    str | None,
    QueryParameter(
        name="digest", description="The content that it must be, as the ETag names it: what is answered can be kept for ever."
    ),
]
Redirect = Annotated[
    bool,
    QueryParameter(
        name="redirect",
        description="307 to a signed URL of the object store, for clients that take `Content-Encoding: zstd`; where that cannot sign, the content.",
    ),
]


@get(
    "/v1/activities/{activity:str}/content",
    guards=[views],
    summary="An activity's content, or a part of it",
    description="Any JSON. 404 where it has no content, or no such part. Large contents take a Range of bytes.",
    opt=documented("Activities"),
)
async def read_content(
    request: ApiRequest, activity: IdInPath, part: Part = None, digest: Digest = None, redirect: Redirect = False
) -> Response[Any]:
    _, content, kept = await find(request, activity, content=True)
    if digest is not None and (kept is None or kept.digest.hex() != digest):
        raise NotFound("The activity has another content by now.")
    if kept is not None:
        return await _stored(request, kept, part, redirect=redirect, immutable=digest is not None)
    if content is None:
        raise NotFound("The activity has no content.")
    return tagged(request, content if part is None else part_of(content, part))


async def _stored(request: ApiRequest, kept: Kept, part: str | None, *, redirect: bool, immutable: bool) -> Response[Any]:
    contents: Contents = request.services.contents
    tag = kept.digest.hex()
    headers = {**(IMMUTABLE if immutable else TAGGED), "etag": f'"{tag}"'}
    if part is not None:
        value = await contents.part(kept, part)
        answered = tagged(request, msgspec.Raw(value))
        if immutable and answered.status_code == 200:
            answered.headers["cache-control"] = IMMUTABLE["cache-control"]
        return answered
    if matches(request.headers.get("if-none-match"), headers["etag"]):
        return Response(b"", status_code=304, headers=headers, media_type="application/json")
    if redirect and contents.store.signs:
        url = await contents.store.presign("GET", kept.path, valid_s=SIGNED_S)
        return Response(b"", status_code=307, headers={"location": url, "cache-control": "private, no-store"})
    status, start, end, ranged = range_of(request, headers["etag"], kept.text_bytes)
    headers |= ranged
    pieces = contents.texts(kept, start, end)
    return Stream(await begun(pieces), status_code=status, headers=headers, media_type="application/json")


routes = [read_content]
