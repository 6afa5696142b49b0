"""Requests that nobody meant, made from the API's own description, to a real server whose tenant has data.

None is answered 500, none takes long, and each answer is one that the description has: its status, its media type, its body.
`MILEPOST_TEST_FUZZ` is how many requests each operation gets, half of them as described and half of them not.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fix_postgres import in_own_loop
from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.postgres import Database
from processes import program

pytest_plugins = ["fix_web"]

Operation = APIOperation[Any, Any, Any, Any]
EXAMPLES = int(os.environ.get("MILEPOST_TEST_FUZZ", "6"))
SLOWEST_S = 5.0  # of a request that does not ask to wait
TIMEOUT_S = 60
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# What the tenant has, by the names that parameters and members of bodies have: without it nearly every request ends at a 404.
KNOWN: dict[str, list[str]] = {
    "actor": ["user-1", "user-2", "user-3"],
    "group": ["team-1", "team-2", "league-1"],
    "parent": ["league-1"],
    "verb": ["run", "walk", "report"],
    "kind": ["workout", "ticket", "team", "league"],
    "object": ["workout/o-1", "ticket/o-1"],
    "object_id": ["o-1", "o-2"],
    "status": ["ok"],
    "role": ["member", "captain"],
    "time_zone": ["Europe/Berlin"],
    "bucket": ["day", "week", "all", "spring", "hour"],
    "fields": ["id", "actor,verb", "data,measures,object"],
    "include": ["actor", "actor,group"],
    "q": ["user", "team", "%"],
    "part": ["", "/laps/0"],
    "letter": ["1"],
    "reason": ["no use"],
    "from": ["2026-03-01T00:00:00Z", "2026-03-01", "2026-03-01T00:00:00"],
    "to": ["2026-04-01T00:00:00Z", "2026-04-01", "2026-04-01T00:00:00"],
    "at": ["always", "2026-03-01T00:00:00Z"],
    "since": ["always", "2026-03-01T00:00:00Z"],
    "occurred_at": ["2026-03-05T10:00:00+01:00", "0002-01-01T00:00:00Z"],
    "limit": ["1", "3"],
    "data.NAME": ["fenix"],
    "Prefer": ["respond-async", "wait=1", "return=representation"],
    "If-Match": ['"1"', "*"],
    "Idempotency-Key": ["again"],
}
NAMES = {
    "/v1/rollups/": ["team_distance", "members", "athlete", "devices", "whole"],
    "/v1/goals/": ["team_goal", "week_goal", "mean_goal"],
    "/v1/latest/": ["grade_book"],
    "/v1/pairs/": ["tickets"],
}


@dataclass(frozen=True, kw_only=True)
class Fuzzed:
    url: str
    key: str
    known: dict[str, list[str]]
    operations: list[Operation]


@pytest.fixture(scope="module")
def fuzzed(web_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    async def prepare() -> str:
        async with await Database.connect_owner(web_url) as owner:
            tenant = await create_tenant(owner, "fuzzed", 2)
            return await create_key(owner, tenant.tenant_id, ["read", "write", "admin"], "fuzz")

    key = in_own_loop(prepare)
    data_dir = str(tmp_path_factory.mktemp("fuzz"))
    with program("serve", "--port", "0", "--log-level", "error", database_url=web_url, data_dir=data_dir) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            known = KNOWN | filled(url, key)
            yield Fuzzed(url=url, key=key, known=known, operations=described(url))
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT_S)


def described(url: str) -> list[Operation]:
    """Every operation of the API; none whose description cannot be read."""
    operations: list[Operation] = []
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        assert isinstance(found, Ok), found
        operations.append(found.ok())
    return operations


def filled(url: str, key: str) -> dict[str, list[str]]:
    """Sends data of every kind. → its ids, as parameters call them."""

    def ask(method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
        with urlopen(Request(url + path, data, given, method=method), timeout=TIMEOUT_S) as answer:
            return json.load(answer)

    ask("PUT", "/v1/groups/league-1", {"kind": "league"})
    for number in (1, 2):
        ask("PUT", f"/v1/groups/team-{number}", {"kind": "team", "parent": "league-1", "attributes": {"goal_m": 9000}})
        ask("PUT", f"/v1/groups/team-{number}/members/user-{number}", {"role": "member", "since": "always"})
    rows = [
        {
            "actor": f"user-{number % 3 + 1}",
            "verb": ("run", "walk", "report", "resolve")[number % 4],
            "key": f"k-{number}",
            "occurred_at": f"2026-03-{number % 28 + 1:02}T07:12:00Z",
            "group": f"team-{number % 2 + 1}",
            "object": {"kind": ("workout", "workout", "ticket", "ticket")[number % 4], "id": f"o-{number // 2}"},
            "data": {"device": "fenix", "effort": number, "note": "river loop"},
            "content": {"laps": [number]},
            **({"measures": {"distance_m": 1000 + number}} if number % 4 < 2 else {}),
        }
        for number in range(200)
    ]
    taken = ask("POST", "/v1/activities", {"activities": rows}, Prefer="wait=20")
    assert taken["loaded"] == len(rows), taken
    return {"activity": taken["ids"][::40], "receipt": [taken["receipt"]]}


@pytest.mark.timeout(3600)
def test_no_request_is_our_mistake(fuzzed: Fuzzed) -> None:
    """Whatever is sent to whichever operation, the answer is one of those described for it."""
    failures: list[str] = []
    with requests.Session() as session:
        for operation in fuzzed.operations:
            for mode in schemathesis.GenerationMode:
                failures += tried(fuzzed, session, operation, mode)
    assert not failures, "\n\n".join(failures)


def tried(fuzzed: Fuzzed, session: requests.Session, operation: Operation, mode: schemathesis.GenerationMode) -> list[str]:
    """→ what was wrong with the answers, each kind of it once."""
    found: dict[str, str] = {}
    known = dict(fuzzed.known)
    for path, names in NAMES.items():
        if operation.path.startswith(path):
            known["name"] = names
    cursors: list[str] = []  # of earlier answers

    @settings(
        max_examples=(EXAMPLES + 1) // 2,
        deadline=None,
        database=None,
        derandomize="MILEPOST_TEST_FUZZ" not in os.environ,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode), st.data())
    def check(case: schemathesis.Case[Operation], data: st.DataObject) -> None:
        here = known | ({"cursor": cursors} if cursors else {})
        for part in (case.path_parameters, case.query, case.headers):
            for name in list(part or ()):
                what = data.draw(st.sampled_from(["as made", "known", "known", "absent"]))
                if what == "known" and name in here:
                    part[name] = data.draw(st.sampled_from(here[name]))
                elif what == "absent" and part is not case.path_parameters:
                    del part[name]
        if isinstance(case.body, dict | list) and data.draw(st.booleans()):
            case.body = with_known(case.body, here, data)
        authorized = {"Authorization": f"Bearer {fuzzed.key}"} if data.draw(st.integers(0, 9)) else {}
        began = time.monotonic()
        answer = case.call(base_url=fuzzed.url, session=session, headers=authorized, timeout=TIMEOUT_S)
        took = time.monotonic() - began
        if took > SLOWEST_S and "Prefer" not in case.headers:
            found["slow"] = f"{operation.label}: {took:.1f} s for {case.as_curl_command()}"
        if answer.status_code == 200 and case.method == "GET" and b'"next"' in answer.content:
            cursors.extend(filter(None, [answer.json().get("next")]))
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as error:
            for one in error.exceptions:
                found[f"{type(one).__name__} {answer.status_code}"] = f"{operation.label}: {one}"

    with suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
        check()
    return list(found.values())


def with_known(body: Any, known: dict[str, list[str]], data: st.DataObject) -> Any:
    """The body with members that have a known name given a known value, wherever they stand."""
    if isinstance(body, list):
        return [with_known(one, known, data) for one in body]
    if not isinstance(body, dict):
        return body
    return {
        name: data.draw(st.sampled_from(known[name]))
        if name in known and isinstance(value, str)
        else with_known(value, known, data)
        for name, value in body.items()
    }
