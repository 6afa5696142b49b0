"""The bounds of what a client may send. Each is enforced in one place and named in the problem it causes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = [
    "ACTIVITIES_PER_REQUEST_MAX",
    "AGE_MIN",
    "BODY_BYTES_MAX",
    "FIELD_CHARACTERS_MAX",
    "FUTURE_MAX",
    "GROUPS_PER_ACTIVITY_MAX",
    "ID_CHARACTERS_MAX",
    "LABEL_CHARACTERS_MAX",
    "MEASURE_UNITS_MAX",
    "SEARCH_CHARACTERS_MAX",
    "SEARCH_WORDS_MAX",
]

ACTIVITIES_PER_REQUEST_MAX = 10_000
BODY_BYTES_MAX = 20 * 1024 * 1024  # after decompression
ID_CHARACTERS_MAX = 256  # of actors, objects, groups, keys
LABEL_CHARACTERS_MAX = 64  # of source, status, object kind
FIELD_CHARACTERS_MAX = 256  # of a text field that is a filter or a key: it must fit an index entry
GROUPS_PER_ACTIVITY_MAX = 32
MEASURE_UNITS_MAX = 2**53 - 1  # in units of the measure's scale: what a JSON number carries exactly
FUTURE_MAX = timedelta(hours=24)
AGE_MIN = datetime(2, 1, 1, tzinfo=UTC)  # ids begin a year earlier: room for zones, days and weeks around the first moment
SEARCH_CHARACTERS_MAX = 400  # of `q`
SEARCH_WORDS_MAX = 32  # in it, each counted once for each language that the model searches in
