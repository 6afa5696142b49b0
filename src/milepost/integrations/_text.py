"""Text from outside, made fit for an activity: bounded, storable, and without secrets.

Fails never: every text comes out as some text. What counts as a secret is guessed by its name, so that nobody must remember to say so.
"""

from __future__ import annotations

import re

__all__ = ["MASK", "is_secret", "masked_path", "text"]

MASK = "***"

_SECRET = re.compile(
    r"pass_?(word|wd|phrase|code)|passwd|pwd|secret|token|api_?key|private_?key|credential|authorization|cookie|session_?key"
    r"|(^|_)(otp|pin|cvv|cvc|salt)($|_)",
    re.IGNORECASE,
)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL keeps neither NUL nor half a surrogate pair
_LONG_RUN = re.compile(r"[A-Za-z0-9]{16,}")


def is_secret(name: str) -> bool:
    """Would a field of this name hold a secret?"""
    return _SECRET.search(name) is not None


def text(value: str, limit: int) -> str:
    """At most `limit` characters, all of them storable."""
    if len(value) > limit:
        value = value[: limit - 1] + "…"
    return _UNSTORABLE.sub("\ufffd", value)


def masked_path(path: str) -> str:
    """A path whose segments show no tokens: a link that resets a password must not be in the audit trail.

    A token is a segment with a run of 16 or more letters and digits, of both kinds. A UUID with hyphens is none; one without is.
    """
    return "/".join(MASK if _is_token(segment) else segment for segment in path.split("/"))


def _is_token(segment: str) -> bool:
    return any(not run.isalpha() and not run.isdigit() for run in _LONG_RUN.findall(segment))
