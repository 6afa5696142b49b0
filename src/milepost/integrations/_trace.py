"""Trace and span ids: from a W3C `traceparent` header, or from OpenTelemetry's current span where the app uses that.

OpenTelemetry is not imported from here: an app that has not imported it has no spans.
"""

from __future__ import annotations

import re
import sys

__all__ = ["span_ids", "traceparent_ids"]

# W3C Trace Context, level 2: a version we do not know may carry more behind the flags; version ff is none.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def traceparent_ids(header: str | None) -> dict[str, str]:
    """`trace_id` and `span_id` of a header; nothing if it is none, or not valid."""
    found = _TRACEPARENT.fullmatch(header.strip()) if header else None
    if found is None or (found[1] == "00" and found[4]):
        return {}
    return {"trace_id": found[2], "span_id": found[3]}


def span_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the span that runs now; nothing without OpenTelemetry, or outside of all spans."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    span = trace.get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"} if span.is_valid else {}
