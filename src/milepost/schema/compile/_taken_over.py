"""What a value in `data` becomes when its field is declared later: then it was not checked as it came in.

It is taken over where accept would take it today; any other leaves the column NULL. A time becomes exactly the moment that
accept would store. Of numbers those with up to 15 digits (9 before a decimal point) are taken, and a decimal that lies in the
middle of two units is rounded away from zero, where accept's float may fall to either side. No expression here can fail,
whatever lies in `data`: PostgreSQL 15 cannot try a cast, so each is made only of what a pattern has let through.
"""

from __future__ import annotations

from milepost import limits
from milepost.model import Field

__all__ = ["taken_over"]

_EXPRESSIONS = {
    "text": "CASE WHEN jsonb_typeof({value}) = 'string' AND length({text}) <= {length} THEN {text} END",
    "integer": "CASE WHEN {text} ~ '^-?[0-9]{{1,15}}$' AND jsonb_typeof({value}) = 'number' THEN ({text})::bigint END",
    "decimal": "CASE WHEN {text} ~ '^-?[0-9]{{1,9}}([.][0-9]{{1,30}})?$' AND jsonb_typeof({value}) = 'number'"
    " THEN round(({text})::numeric * 10 ^ {scale})::bigint END",
    "boolean": "CASE WHEN jsonb_typeof({value}) = 'boolean' THEN ({text})::boolean END",
    "time": "CASE WHEN jsonb_typeof({value}) = 'string' AND {text} ~ '{rfc3339}' THEN ({moment}) END",
}

# RFC 3339 as accept's decoder reads it: a blank may stand for the T, and the offset's colon may be missing; no leap seconds.
_DATE = "|".join(
    (
        "[0-9]{4}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])",
        "[0-9]{4}-(0[469]|11)-(0[1-9]|[12][0-9]|30)",
        "[0-9]{4}-02-(0[1-9]|1[0-9]|2[0-8])",
        "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29",
    )
)
_RFC3339 = (
    f"^(?!0000)({_DATE})[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$"
)

# Put together from its parts: PostgreSQL rounds a longer fraction by way of a float, refuses a very long one, and offsets of 16
# hours and more. The seventh digit decides how the sixth is rounded. Years are those that accept knows, in the text's own zone
# and in UTC.
_MOMENT = """SELECT CASE WHEN wall < '10000-01-01' AND moment >= '0001-01-01 00:00:00+00' AND moment < '10000-01-01 00:00:00+00'
        THEN moment END
    FROM (
        SELECT wall, wall AT TIME ZONE 'UTC' - coalesce(
            (zone[1] || '1')::integer * (zone[2]::integer * 60 + zone[3]::integer), 0) * interval '1 minute' AS moment
        FROM (
            SELECT (left(t, 10) || ' ' || substr(t, 12, 8))::timestamp
                + (left(digits, 6)::integer + (substr(digits, 7, 1) >= '5')::integer) * interval '1 microsecond' AS wall,
                regexp_match(t, '([+-])([0-9]{2}):?([0-9]{2})$') AS zone
            FROM (SELECT t, rpad(coalesce(substring(t FROM '[.]([0-9]+)'), ''), 7, '0') AS digits FROM (SELECT {text}) s (t)) s
        ) s
    ) s"""


def taken_over(declared: Field) -> str:
    """The SQL expression over a row of the activity table that gives the value of the field's column, or NULL."""
    name = f"'{declared.name}'"  # a checked identifier
    text = f"data->>{name}"
    return _EXPRESSIONS[declared.type].format(
        value=f"data->{name}",
        text=text,
        scale=declared.scale,
        length=limits.FIELD_CHARACTERS_MAX,
        rfc3339=_RFC3339,
        moment=_MOMENT.replace("{text}", text),
    )
