"""Answers: JSON with exact numbers, entity tags, and pages.

Every GET answer has an ETag: the version of what has one, else a hash of the body. `If-None-Match` gets 304. Nothing
is kept by shared caches, since what is seen depends on the key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from litestar import Response

from milepost.web.request import ApiRequest

__all__ = ["TAGGED", "answer", "begun", "encode", "matches", "page", "page_by_name", "tagged"]

Item = TypeVar("Item")

# Measures and values are decimals, and JSON numbers.
encode = msgspec.json.Encoder(decimal_format="number").encode

TAGGED = {"cache-control": "private, no-cache", "vary": "authorization, milepost-viewer"}


def answer(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    body = b"" if content is None else encode(content)
    return Response(body, status_code=status, headers=dict(headers or {}), media_type="application/json")


def tagged(request: ApiRequest, content: Any, *, tag: str | None = None) -> Response[bytes]:
    """content as JSON with an ETag, or 304. tag: what changes with the content; by default a hash of it."""
    body = encode(content)
    entity_tag = f'"{tag or blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"etag": entity_tag, **TAGGED}
    if matches(request.headers.get("if-none-match"), entity_tag):
        return Response(b"", status_code=304, headers=headers, media_type="application/json")
    return Response(body, headers=headers, media_type="application/json")


def page(request: ApiRequest, items: list[Any], position: bytes | None, **more: Any) -> Response[bytes]:
    """A page of a list. position: where the next page begins; None: this is the last."""
    following = None if position is None else request.services.cursors.sign(request.question(), position)
    return tagged(request, {"items": items, "next": following, **more})


def page_by_name(request: ApiRequest, found: Sequence[Item], limit: int, name: Callable[[Item], str]) -> Response[bytes]:
    """A page of a list in the order of names. found: from after `request.name_after` on, one more than the page if there are more."""
    return page(request, list(found[:limit]), name(found[limit - 1]).encode() if len(found) > limit else None)


async def begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, of which the first is there: what is wrong with the store is told as a status then, and not by a cut connection."""
    first = await anext(pieces)

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()


def matches(if_none_match: str | None, entity_tag: str) -> bool:
    """Weak comparison (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    named = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in named or entity_tag in named
