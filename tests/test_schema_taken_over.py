"""A field declared later: what lies in `data` becomes what accept would have made of it, or nothing, on every PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from effort import examples
from fix_postgres import in_own_loop
from milepost.intake._verb_rows import data_struct
from milepost.model import Field, Verb
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema.compile._taken_over import taken_over

pytest_plugins = ["fix_schema"]

PLANNED = Field(name="planned", type="time")
DECODER = msgspec.json.Decoder(data_struct(Verb(name="run", data={"planned": PLANNED}), {"planned"}))

# Each part right or nearly so, put together; so that most texts are times, and the others are wrong in one place.
YEARS = ["0000", "0001", "0004", "0100", "0400", "1600", "1700", "1900", "1904", "2000", "2024", "2026", "2100", "9996", "9999"]
DIGITS = st.text("0123456789", min_size=1, max_size=12)
TEXTS = st.builds(
    "{}{}{}{}{}{}".format,
    st.builds(
        "{}-{}-{}".format,
        st.one_of(st.sampled_from(YEARS), st.integers(0, 9999).map("{:04}".format)),
        st.integers(0, 13).map("{:02}".format),
        st.one_of(st.sampled_from(["01", "28", "29", "30", "31"]), st.integers(0, 32).map("{:02}".format)),
    ),
    st.sampled_from(["T", "T", "T", "t", " ", "_", ""]),
    st.builds("{:02}:{:02}:{:02}".format, st.integers(0, 24), st.integers(0, 60), st.integers(0, 60)),
    st.one_of(
        st.just(""), DIGITS.map(".{}".format), st.sampled_from([".", ",5", ".9999999", ".9999994", ".0000005", "." + "12" * 90])
    ),
    st.one_of(
        st.sampled_from(["Z", "Z", "z", "", "-00:00", "+23:59", "-23:59", "+24:00", "+16:00", "+05:60", "+0100", "+01", " Z"]),
        st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 24), st.integers(0, 60)),
    ),
    st.sampled_from(["", "", "", "", "", "", "\n", " ", "Z"]),
)
MOMENTS = st.datetimes(
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
).map(datetime.isoformat)  # fmt: skip
EDGES = [
    "0001-01-01T00:00:00+00:01", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00-23:59",
    "9999-12-31T23:59:59.9999994Z", "9999-12-31T23:59:59.9999995Z", "9999-12-31T23:59:59.9999999+01:00",
    "9999-12-31T23:59:59-00:01", "2026-06-30T23:59:60Z", "２026-03-01T07:12:00Z", "infinity", "now", "epoch", "", "2026-03-01",
]  # fmt: skip


def accepted(value: Any) -> datetime | None:
    """What accept makes of it, in UTC."""
    try:
        decoded: Any = DECODER.decode(json.dumps({"planned": value}))
        moment: datetime | None = decoded.planned
        return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (msgspec.ValidationError, OverflowError):
        return None


class Asked:
    """One connection, asked many times."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, field: Field, values: Sequence[Any]) -> list[Any]:
        """What each value would be taken over as."""

        async def ask(owner: Connection) -> list[Any]:
            shown = f"({taken_over(field)})" + (" AT TIME ZONE 'UTC'" if field.type == "time" else "")
            query = f"SELECT {shown} FROM unnest(%s::jsonb[]) WITH ORDINALITY u (data, n) ORDER BY n"
            rows = await owner.execute(query.encode(), [[json.dumps({field.name: value}) for value in values]])
            return [row[0] for row in await rows.fetchall()]

        async def run() -> list[Any]:
            # Another zone and style of the session change nothing.
            async with await Database.connect_owner(self.url, settings={"timezone": "Asia/Kolkata"}) as owner:
                return await ask(owner)

        return in_own_loop(run)


@pytest.fixture
def asked(any_server: EmbeddedServer) -> Asked:
    return Asked(any_server.ensure_database("postgres"))


# Not shrunk: the difference names the texts, and a hundred of them take minutes.
@settings(
    max_examples=examples(8, 30),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(texts=st.lists(st.one_of(TEXTS, TEXTS, MOMENTS), min_size=100, max_size=100))
def test_times_are_those_that_accept_takes(asked: Asked, texts: list[str]) -> None:
    """Every text that accept takes becomes the same moment, to the microsecond; every other becomes NULL, and none an error."""
    texts += EDGES
    assert dict(zip(texts, asked(PLANNED, texts), strict=True)) == {text: accepted(text) for text in texts}


def test_only_a_text_is_a_time(asked: Asked) -> None:
    """A number, a list or an object is none, whatever it looks like."""
    values: list[Any] = [20260301, None, True, ["2026-03-01T07:12:00Z"], {"at": "2026-03-01T07:12:00Z"}]
    assert asked(PLANNED, values) == [None] * len(values)
