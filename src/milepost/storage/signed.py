"""Documents that a deployment signs with its secret, such as receipts of erasures: later it can tell that it gave them, as they are.

The secret is in the database. So a signature guards against whoever changes a document, and not against whoever has the database: what such a one
cannot do is change a copy that is kept elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["holds", "signature_of"]

_encode = msgspec.json.Encoder(order="deterministic").encode


def signature_of(what: str, document: Mapping[str, Any], secret: bytes) -> str:
    """what: the kind of document, so that none passes for another."""
    signed = {name: value for name, value in document.items() if name != "signature"}
    return hmac.digest(secret, f"{what}\0".encode() + _encode(signed), "sha256").hex()


def holds(what: str, document: Mapping[str, Any], secret: bytes) -> bool:
    return hmac.compare_digest(signature_of(what, document, secret), str(document.get("signature", "")))
