"""POST /v1/activities: what is taken, what is answered, and how each kind of bad input is refused."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest
from backports import zstd

from milepost.access.limits import set_limits
from milepost.intake.pressure.refusal import Overfull
from milepost.limits import BODY_BYTES_MAX
from milepost.web import bodies
from milepost.web.bodies import Bodies, decompress
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/activities"
NOT_VALID = {"type": "/problems/invalid-input", "title": "The request is not valid", "status": 400}
TOO_LARGE = {"type": "/problems/too-large", "title": "The request is too large", "status": 413}


async def refused(api: Api, expected: dict[str, Any], **request: Any) -> None:
    """The answer to a POST is exactly this problem."""
    answer = await api("POST", PATH, **request)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == expected
    assert answer.status_code == expected["status"]


async def rejections(api: Api, *activities: dict[str, Any]) -> list[dict[str, Any]]:
    """What is said of those that are rejected."""
    answer = await api("POST", PATH, json={"activities": list(activities)})
    assert answer.status_code == 202, answer.text
    rejected: list[dict[str, Any]] = answer.json()["rejected"]
    return rejected


# ── Taken ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_answer_is_a_receipt_for_what_is_durable(api: Api) -> None:
    """202 counts the accepted, names the rejected, and gives a receipt that tells what became of them."""
    answer = await api("POST", PATH, json={"activities": [run_of(), run_of(verb="swim"), run_of("user-2")]})
    assert answer.status_code == 202
    taken = answer.json()
    assert taken.keys() == {"accepted", "rejected", "receipt"}
    assert taken["accepted"] == 2
    assert taken["rejected"] == [{"index": 1, "pointer": "/verb", "detail": "'swim' is not a verb of the model"}]
    await api.send(run_of("user-3"))  # a lane is loaded in order, so that the first are loaded too
    state = await api.get(f"/v1/receipts/{taken['receipt']}")
    assert state == {"receipt": taken["receipt"], "state": "loaded", "loaded": 2, "duplicates": 0}


async def test_waiting_answers_when_it_is_readable(api: Api) -> None:
    """With Prefer: wait the answer is 200, counts what was new, names the ids, and the activities can be read."""
    both = [run_of(key="a"), run_of("user-2", key="b")]
    answer = await api("POST", PATH, json={"activities": both}, headers={"prefer": "wait=20"})
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    taken = answer.json()
    assert (taken["accepted"], taken["loaded"], taken["duplicates"]) == (2, 2, 0)
    assert {(await api.get(f"{PATH}/{one}"))["actor"] for one in taken["ids"]} == {"user-1", "user-2"}
    again = await api.send(*both, run_of("user-3", key="c"))
    assert (again["accepted"], again["loaded"], again["duplicates"]) == (3, 1, 2)
    assert again["ids"][:2] == taken["ids"]


async def test_a_wait_that_runs_out_is_202(api: Api) -> None:
    """Nothing is loaded within 0 s: the activities are durable, and the answer does not say how many were new."""
    answer = await api("POST", PATH, json={"activities": [run_of()]}, headers={"prefer": "wait=0"})
    assert answer.status_code == 202
    assert answer.json().keys() == {"accepted", "rejected", "receipt", "ids"}


async def test_ids_without_waiting(api: Api) -> None:
    """Prefer: return=representation names the ids of the accepted ones."""
    body = {"activities": [run_of(), run_of(verb="swim")]}
    answer = await api("POST", PATH, json=body, headers={"prefer": "return=representation"})
    assert answer.status_code == 202
    assert len(answer.json()["ids"]) == 1


async def test_nothing_accepted_has_no_receipt(api: Api) -> None:
    """Where every one is rejected, or there is none, nothing is queued."""
    answer = await api("POST", PATH, json={"activities": []}, headers={"prefer": "wait=20"})
    assert answer.status_code == 200
    nothing = {"accepted": 0, "rejected": [], "receipt": None, "loaded": 0, "duplicates": 0, "ids": []}
    assert answer.json() == nothing
    answer = await api("POST", PATH, json={"activities": [run_of(verb="swim")]})
    assert answer.status_code == 202
    assert answer.json()["receipt"] is None


@pytest.mark.parametrize("encoding", ["identity", "gzip", "two gzip members", "zstd"])
async def test_compressed_bodies(api: Api, encoding: str) -> None:
    """gzip (also of several members) and zstd are understood."""
    plain = json.dumps({"activities": [run_of(f"user-{n}") for n in range(50)]}).encode()
    compressed = {
        "identity": plain,
        "gzip": gzip.compress(plain),
        "two gzip members": gzip.compress(plain[:100]) + gzip.compress(plain[100:]),
        "zstd": zstd.compress(plain),
    }[encoding]
    headers = {"content-encoding": "gzip" if "gzip" in encoding else encoding}
    answer = await api("POST", PATH, content=compressed, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == 50


async def test_one_activity_a_line(api: Api) -> None:
    """NDJSON: a wrong line costs itself alone; empty lines do not count."""
    lines = [json.dumps(run_of()), "", json.dumps(run_of(verb="swim")), "{", json.dumps(run_of("user-2"))]
    headers = {"content-type": "application/x-ndjson; charset=utf-8", "prefer": "wait=20"}
    answer = await api("POST", PATH, content="\n".join(lines), headers=headers)
    assert answer.status_code == 200, answer.text
    taken = answer.json()
    assert taken["loaded"] == 2
    assert [(one["index"], one["pointer"]) for one in taken["rejected"]] == [(1, "/verb"), (2, "")]


async def test_a_large_request_is_taken_in_the_thread(api: Api) -> None:
    """10,000 activities are accepted while other requests are answered."""
    activities = [{"actor": f"user-{n}", "verb": "run"} for n in range(10_000)]
    large, small = await asyncio.gather(
        api("POST", PATH, json={"activities": activities}), api("POST", PATH, json={"activities": [run_of()]})
    )
    assert (large.status_code, large.json()["accepted"]) == (202, 10_000)
    assert small.status_code == 202


# ── Idempotency-Key ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_repeated_request_counts_once(api: Api) -> None:
    """The same Idempotency-Key and body: the same answer, and nothing is counted twice, although nothing else tells."""
    request: dict[str, Any] = {
        "json": {"activities": [run_of(), run_of(verb="swim")]},
        "headers": {"idempotency-key": "one", "prefer": "wait=20"},
    }
    first, second = await api("POST", PATH, **request), await api("POST", PATH, **request)
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert len(await api.all_pages("/v1/groups/team-1/feed")) == 1


async def test_a_key_with_another_body_is_refused(api: Api) -> None:
    """An Idempotency-Key belongs to one body."""
    await api.send(run_of(), headers={"idempotency-key": "one"})
    detail = "This key came with another body before. A new request needs a new key."
    await refused(
        api,
        {**NOT_VALID, "detail": detail, "errors": [{"pointer": "/Idempotency-Key", "detail": detail}]},
        json={"activities": [run_of("user-2")]},
        headers={"idempotency-key": "one"},
    )


async def test_an_unusable_key_is_refused(api: Api) -> None:
    """An Idempotency-Key has 1 to 255 printable characters."""
    detail = "must have 1 to 255 printable characters"
    for key in ("", "x" * 256, "a\tb"):
        await refused(
            api,
            {
                **NOT_VALID,
                "detail": f"What was sent is not valid. Idempotency-Key: {detail}",
                "errors": [{"pointer": "/Idempotency-Key", "detail": detail}],
            },
            json={"activities": [run_of()]},
            headers={"idempotency-key": key},
        )


# ── Bad input, as a whole ──────────────────────────────────────────────────────────────────────────────────────────────


NAN = b'{"activities": [{"actor": "a", "verb": "run", "measures": {"distance_m": NaN}}]}'
INFINITY = NAN.replace(b"NaN", b"-Infinity")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Input data was truncated"),
        (b"", "Input data was truncated"),
        (b"hello", "JSON is malformed: invalid character (byte 0)"),
        (NAN, f"JSON is malformed: invalid character (byte {NAN.index(b'NaN')})"),
        (INFINITY, f"JSON is malformed: invalid character (byte {INFINITY.index(b'Infinity')})"),
    ],
)
async def test_not_json(api: Api, body: bytes, said: str) -> None:
    """A body that is not JSON is refused whole; NaN and Infinity are not JSON."""
    expected = {**NOT_VALID, "detail": "The body is not JSON.", "errors": [{"pointer": "", "detail": said}]}
    await refused(api, expected, content=body)


async def test_not_a_list_of_activities(api: Api) -> None:
    """A body of another shape is refused whole, with where it differs."""
    for body, pointer, said in (
        ([], "", "Expected object, got array"),
        ({}, "/activities", "is required"),
        ({"activities": {}}, "/activities", "Expected array, got object"),
        ({"activities": [], "wait": 5}, "/wait", "is not a field of an activity"),
    ):
        problem = (await api("POST", PATH, json=body)).json()
        assert problem["status"] == 400
        assert problem["detail"] == 'The body is not {"activities": […]}.'
        assert problem["errors"] == [{"pointer": pointer, "detail": said}]


async def test_nested_without_end(api: Api) -> None:
    """A hundred thousand brackets are an error like any other."""
    problem = await api("POST", PATH, content=b'{"activities": [' + b"[" * 100_000)
    assert problem.status_code == 400


async def test_21_mib(api: Api) -> None:
    """A body over 20 MiB is refused, whether it says so or comes in pieces."""
    expected = {**TOO_LARGE, "detail": "The body is larger than 20 MiB."}
    await refused(api, expected, content=b" " * (21 * 1024 * 1024))

    async def pieces() -> Any:
        for _ in range(21):
            yield b" " * (1024 * 1024)

    await refused(api, expected, content=pieces())


async def test_10_001_activities(api: Api) -> None:
    """More than 10,000 activities are refused whole."""
    expected = {**TOO_LARGE, "detail": "More than 10000 activities in one request: send several."}
    await refused(api, expected, json={"activities": [{"actor": "a", "verb": "run"}] * 10_001})


async def test_bad_gzip(api: Api) -> None:
    """What is not gzip, or ends too early, is refused."""
    for body, said in ((b"not gzip", "is not gzip"), (gzip.compress(b"{}" * 999)[:-9], "ends in the middle of its gzip")):
        await refused(
            api,
            {
                **NOT_VALID,
                "detail": f"The body's Content-Encoding is gzip, but it {said}.",
                "errors": [{"pointer": "", "detail": said}],
            },
            content=body,
            headers={"content-encoding": "gzip"},
        )


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_bomb(api: Api, encoding: str) -> None:
    """What decompresses to more than 20 MiB is refused, at the cost of 20 MiB and not of what it claims."""
    plain = b" " * (100 * 1024 * 1024)
    bomb = gzip.compress(plain, 1) if encoding == "gzip" else zstd.compress(plain)
    assert len(bomb) < BODY_BYTES_MAX
    expected = {**TOO_LARGE, "detail": "The body is larger than 20 MiB."}
    await refused(api, expected, content=bomb, headers={"content-encoding": encoding})


async def test_a_bomb_of_many_members() -> None:
    """The limit holds for all members of a gzip together."""
    member = gzip.compress(b" " * 1024 * 1024)
    assert len(decompress(member * 20, b"gzip")) == BODY_BYTES_MAX
    with pytest.raises(Exception, match="larger than 20 MiB"):
        decompress(member * 21, b"gzip")


async def test_an_unknown_encoding(api: Api) -> None:
    """Other encodings are refused with those that are understood."""
    answer = await api("POST", PATH, content=b"x", headers={"content-encoding": "br"})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, zstd, identity"
    assert answer.json()["detail"] == "The body's Content-Encoding is 'br': send gzip, zstd or none."


async def test_parameters_are_refused(api: Api) -> None:
    """A parameter where there is none is a mistake, not something to pass over."""
    answer = await api("POST", f"{PATH}?wait=5", json={"activities": []})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": "/wait", "detail": "is not a parameter of this route"}]


async def test_pressure(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    """More unfinished bytes than the process may hold: 429 with Retry-After, and nothing is taken."""
    monkeypatch.setattr(api.services.gate.bodies, "_unfinished_max", 10)
    answer = await api("POST", PATH, json={"activities": [run_of()]})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["type"] == "/problems/too-many-requests"
    assert api.services.gate.bodies.unfinished == 0


async def test_a_limit_that_is_reached(api: Api) -> None:
    """The request is refused whole, the answer names the limit, what is left of it, and when to come again; a smaller one fits."""
    async with api.services.db.transaction("write") as conn:
        await set_limits(conn, api.tenant_id, {"per_day": 5})
    three = {"activities": [run_of(), run_of(), run_of()]}
    first = await api("POST", PATH, json=three)
    assert (first.status_code, first.headers["ratelimit"].split(";t=")[0]) == (202, '"per_day";r=2')
    second = await api("POST", PATH, json=three)
    assert (second.status_code, second.headers["content-type"]) == (429, "application/problem+json")
    problem = second.json()
    assert (problem["type"], problem["violated-policies"]) == ("/problems/limit-reached", ["per_day"])
    assert problem["detail"] == "2 of 5 activities a day are left: nothing of this request was taken."
    assert 0 < int(second.headers["retry-after"]) <= 86_400
    assert second.headers["ratelimit-policy"] == '"per_day";q=5;w=86400;qu="activities"'
    assert (await api("POST", PATH, json={"activities": [run_of(), run_of()]})).status_code == 202
    other = await api("POST", "/v1/track", json={"userId": "u", "event": "run"})
    assert (other.status_code, other.json()["code"]) == (429, "limit-reached")
    shown = await api.get("/v1/admin/limits")
    assert (shown["per_day"], shown["rate"], shown["today"]) == (5, None, 5)


async def test_what_came_to_nothing_new_is_not_counted(api: Api) -> None:
    """A request that its Idempotency-Key makes a repetition uses nothing up."""
    async with api.services.db.transaction("write") as conn:
        await set_limits(conn, api.tenant_id, {"per_day": 2})
    for _ in range(3):
        answer = await api("POST", PATH, json={"activities": [run_of()]}, headers={"idempotency-key": "k"})
        assert answer.status_code == 202
    assert (await api("POST", PATH, json={"activities": [run_of()]})).status_code == 202
    assert (await api("POST", PATH, json={"activities": [run_of()]})).status_code == 429


async def test_bytes_are_given_back(api: Api) -> None:
    """Whatever becomes of a request, its bytes do not count as unfinished afterwards."""
    await api.send(run_of())
    await api("POST", PATH, content=b"{")
    await api("PUT", "/v1/groups/team-1", content=b"{")
    assert api.services.gate.bodies.unfinished == 0


async def test_hanging_up() -> None:
    """A client that hangs up in mid-body is not answered."""
    messages: Any = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    with pytest.raises(bodies.ClientGone):
        with Bodies().held(1) as held:
            await held.read({}, receive)


async def test_unfinished_bytes_of_a_streamed_body() -> None:
    """The bound holds while a body without a length comes in."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    whole = Bodies(unfinished_max=1000)
    with pytest.raises(Overfull), whole.held(1) as held:
        await held.read({}, receive)
    assert whole.unfinished == 0


async def test_a_tenant_holds_at_most_what_is_still_free() -> None:
    """Alone it gets half of all; a second one beside it still finds room, and what is given back is free again."""
    whole = Bodies(unfinished_max=1000)
    with whole.held(1) as first, whole.held(2) as second:
        first.grow(500)
        with pytest.raises(Overfull):
            first.grow(1)
        second.grow(250)
        with pytest.raises(Overfull):
            second.grow(1)
    assert whole.unfinished == 0
    with whole.held(2) as held:
        held.grow(500)


# ── Bad input, one by one ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "pointer", "detail"),
    [
        ({"actor": 17}, "/actor", "Expected str, got int"),
        ({"measures": {"distance_m": "far"}}, "/measures/distance_m", "Expected float, got str"),
        ({"object": "workout/w-55"}, "/object", "Expected object, got str"),
        ({"data": [1]}, "/data", "expected an object"),
        ({"data": {"effort": "hard"}}, "/data/effort", "Expected int, got str"),
        ({"verb": "rum"}, "/verb", "'rum' is not a verb of the model; did you mean run?"),
        ({"actor": None}, "/actor", "Expected str, got null"),
        ({"colour": "red"}, "/colour", "is not a field of an activity"),
        ({"measures": {"height_m": 1}}, "/measures/height_m", "is not declared in the model"),
        ({"measures": {"distance_m": -0.1}}, "/measures/distance_m", "Expected float >= 0.0"),
        ({"measures": {"distance_m": 500_001}}, "/measures/distance_m", "Expected float <= 500000.0"),
        ({"measures": {"duration_s": 2**60}}, "/measures/duration_s", f"Expected an integer <= {2**53 - 1}"),
        ({"measures": {"duration_s": 1.5}}, "/measures/duration_s", "expected an integer, got 1.5"),
        ({"actor": "a\0b"}, "/actor", "contains the character NUL (\\u0000), which cannot be stored"),
        ({"data": {"note": "a\0b"}}, "/data/note", "contains the character NUL (\\u0000), which cannot be stored"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "/occurred_at", "more than 24 hours in the future"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "/occurred_at", "before the year 2"),
        ({"occurred_at": "2026-03-01T07:12:00"}, "/occurred_at", "Expected datetime with a timezone component"),
        ({"object": {"kind": "ticket", "id": "1"}}, "/object/kind", "this verb is done to objects of kind workout, not ticket"),
        ({"visibility": "all"}, "/visibility", "'all' is not one of public, group, private"),
        ({"actor": "x" * 257}, "/actor", "Expected str of length <= 256"),
    ],
)
async def test_a_wrong_activity_is_named(api: Api, fields: dict[str, Any], pointer: str, detail: str) -> None:
    """A wrong activity is rejected with the field and the reason, and the others of its request are taken."""
    answer = await api("POST", PATH, json={"activities": [run_of(), run_of(**fields), run_of("user-2")]})
    assert answer.status_code == 202, answer.text
    assert answer.json()["rejected"] == [{"index": 1, "pointer": pointer, "detail": detail}]
    assert answer.json()["accepted"] == 2


async def test_missing_fields_are_named(api: Api) -> None:
    """Actor and verb are required."""
    assert await rejections(api, {"verb": "run"}, {"actor": "user-1"}) == [
        {"index": 0, "pointer": "/actor", "detail": "is required"},
        {"index": 1, "pointer": "/verb", "detail": "is required"},
    ]


async def test_the_far_past_is_kept(api: Api) -> None:
    """History before 1970, and before the common era's second century, is history."""
    await api.send(run_of(occurred_at="1913-05-01T00:00:00Z"), run_of(occurred_at="0101-01-01T00:00:00Z"))
    years = [item["occurred_at"][:4] for item in await api.all_pages("/v1/groups/team-1/feed")]
    assert years == ["1913", "0101"]


# ── Keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_keys(api: Api) -> None:
    """Without a key, with a wrong one: 401, which says how; without the scope: 403."""
    for key, detail in {
        None: "A key is required: Authorization: Bearer KEY.",
        "nonsense": "The key is missing, wrong or revoked.",
        f"mp_{api.tenant_id}_{'a' * 32}": "The key is missing, wrong or revoked.",
    }.items():
        answer = await api("POST", PATH, key=key, json={"activities": []})
        assert answer.headers["www-authenticate"] == 'Bearer realm="milepost"'
        assert answer.json() == {
            "type": "/problems/unauthorized",
            "title": "The key is missing, wrong or revoked",
            "status": 401,
            "detail": detail,
        }
        assert answer.status_code == 401
    answer = await api("POST", PATH, key="read", json={"activities": []})
    assert answer.status_code == 403
    assert answer.json() == {
        "type": "/problems/forbidden",
        "title": "The key does not allow this",
        "status": 403,
        "detail": "The key has not the scope write: it has read.",
    }


async def test_zlib_is_not_gzip() -> None:
    """Content-Encoding: gzip means gzip, not what some call deflate."""
    with pytest.raises(Exception, match="is not gzip"):
        decompress(zlib.compress(b"{}"), b"gzip")
