"""Payloads of activities that no acceptor would make."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from milepost.intake import _rows


def payload_of(rows: Sequence[bytes], **header: Any) -> _rows.Payload:
    """These bytes as rows; the header says what it is told to, and else nothing of use."""
    said: dict[str, Any] = {
        "columns": "tenant_id, id",
        "delta": 1,
        "actors": [],
        "groups": [],
    }
    lengths = array("I", map(len, rows))
    return _rows.Payload(header=_rows.Header(**(said | header)), lengths=lengths, splits=lengths, rows=b"".join(rows))
