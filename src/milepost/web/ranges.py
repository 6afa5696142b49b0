"""Ranges of bytes (RFC 9110, 14.2): which part of something a request asks for."""

from __future__ import annotations

import re

from milepost.web.problems import NoSuchRange
from milepost.web.request import ApiRequest

__all__ = ["range_of"]

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def range_of(request: ApiRequest, entity_tag: str, size: int) -> tuple[int, int, int, dict[str, str]]:
    """→ status, first byte, after the last, headers. One range is understood; several, or another unit, are none. Raises `NoSuchRange`."""
    match = RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match[0] == "bytes=-" or request.headers.get("if-range", entity_tag) != entity_tag:
        return 200, 0, size, {"accept-ranges": "bytes", "content-length": str(size)}
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    if start >= end:
        raise NoSuchRange(f"There are {size} bytes, and none of them is in {match[0]}.", size=size)
    there = {"accept-ranges": "bytes", "content-length": str(end - start), "content-range": f"bytes {start}-{end - 1}/{size}"}
    return 206, start, end, there
