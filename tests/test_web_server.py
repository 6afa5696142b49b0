"""The server around the API: health, metrics, description, front page, methods, and its life as a process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from milepost.errors import DatabaseUnavailable, MilepostError, SchemaMismatch, SettingsError
from milepost.postgres import Database, EmbeddedServer
from milepost.schema.models import apply_model
from milepost.settings import Settings
from milepost.web import activity_schemas, dead_letter_schemas, entity_schemas, number_schemas, operation_schemas, schemas
from milepost.web.health import missing
from milepost.web.problems import KINDS, problem_of
from milepost.web.server import listen, serving
from milepost.web.services import Services
from web_client import Api, Served, run_of

pytest_plugins = ["fix_web"]
MODEL = Path(__file__).parent / "models" / "spine.toml"
pytestmark = pytest.mark.asyncio(loop_scope="module")


# ── What everybody may ask ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_health(api: Api) -> None:
    """Up without a look at anything else; ready with a database, a model, a loader for each lane, and partitions."""
    assert await api.get("/healthz", key=None) == {"status": "up"}
    told = await api.get("/readyz", key=None)
    assert (told["ready"], told["taking"], told["missing"]) == (True, True, [])
    assert told["queue"]["state"] == "direct"
    assert (await api("HEAD", "/healthz", key=None)).status_code == 200


async def test_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named: here a loader for a lane that nobody holds, and the model."""
    monkeypatch.setattr(api.services.models, "_served", None)
    owner = await api.services.db.owner()
    try:
        await owner.execute(b"INSERT INTO milepost.lane (lane) VALUES (99)")
        answer = await api("GET", "/readyz", key=None)
        assert answer.status_code == 503
        told = answer.json()
        assert told.pop("queue")["state"] == "direct"
        assert told == {
            "ready": False,
            "taking": False,
            "object_store": True,
            "missing": [
                {
                    "check": "model",
                    "detail": "No model has been applied to this database yet: run `milepost model apply FILE`.",
                },
                {"check": "lanes", "detail": "No loader holds lane 99."},
            ],
        }
        answer = await api("POST", "/v1/activities", json={"activities": [run_of()]})
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/not-ready"
        assert answer.headers["retry-after"] == "2"
    finally:
        await owner.execute(b"DELETE FROM milepost.lane WHERE lane = 99")
        await owner.close()


async def test_no_database(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a database every route says so with Retry-After, and readiness names it."""

    def gone(*_: Any, **__: Any) -> Any:
        raise DatabaseUnavailable

    monkeypatch.setattr(api.services.db, "transaction", gone)
    api.services.keys._known.clear()
    answer = await api("GET", "/v1/activities")
    assert answer.status_code == 503
    assert answer.json() == {
        "type": "/problems/unavailable",
        "title": "The database cannot be reached",
        "status": 503,
        "detail": "PostgreSQL cannot be reached now; trying again may help.",
    }
    assert answer.headers["retry-after"] == "1"
    assert [check for check, _ in await missing(api.services)] == ["database"]


async def test_our_own_mistake(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw is a 500 with an id, and says nothing of what is inside."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("the password is swordfish")

    monkeypatch.setattr("milepost.web.feeds.read_page", broken)
    monkeypatch.setattr(api.services.queue, "enqueue", broken)
    body = {"activities": [run_of()]}
    for answer in (await api("GET", "/v1/activities"), await api("POST", "/v1/activities", json=body)):
        assert answer.status_code == 500
        problem = answer.json()
        assert problem["type"] == "/problems/internal"
        assert problem["id"] in problem["detail"]
        assert "swordfish" not in answer.text


async def test_a_model_that_is_changing() -> None:
    """A table that went with an older model is no mistake of ours: ask again."""
    problem = problem_of(MilepostError("relation does not exist", sqlstate="42P01"))
    assert (problem.status, problem.kind.slug) == (503, "not-ready")


async def test_a_new_model_is_served(server: EmbeddedServer, web_template: str, served: Served) -> None:
    """A model that somebody applies is served from the next look on, or from the first request that does not fit."""
    url = server.clone_database(web_template, "web_changing")
    services = await Services.start(served.settings, url)
    try:
        assert services.models.current.version == 1
        assert not await services.models.run_once()
        async with await Database.connect_owner(url) as owner:
            await apply_model(owner, MODEL.read_text(encoding="utf-8") + '\n[verbs.swim]\nobject = "workout"\n')
        await services.models.run_once()
        assert services.models.current.version == 2
        accepted = services.models.current.acceptor.accept(
            1, b'{"activities": [{"actor": "a", "verb": "swim"}]}', datetime.now(UTC)
        )
        assert accepted.rows == 1
    finally:
        await services.stop()
        await services.stop()  # safe twice
        server.drop_database("web_changing")


async def test_a_restored_database_is_served(server: EmbeddedServer, web_template: str, served: Served) -> None:
    """The queue of another cluster is adopted before anything is loaded from it."""
    url = server.clone_database(web_template, "web_restored")
    async with await Database.connect_owner(url) as owner:
        await owner.execute(b"UPDATE milepost.deployment SET system_identifier = 1")
        services = await Services.start(served.settings, url)
        row = await (await owner.execute(b"SELECT count(*) FROM milepost.deployment WHERE system_identifier <> 1")).fetchone()
        assert row == (1,)
        await services.stop()
    server.drop_database("web_restored")


async def test_lanes_that_nobody_made(web_url: str, served: Served) -> None:
    """A server that is told of more lanes than there are does not start, and says what to run."""
    with pytest.raises(SchemaMismatch, match=r"has 2 lanes and MILEPOST_LANES is 5: run `milepost db migrate --lanes 5`"):
        await Services.start(replace(served.settings, lanes=5), web_url)


async def test_metrics(api: Api) -> None:
    """Requests are counted by their route, never by an id in their path."""
    await api.send(run_of("user-with-a-name"))
    await api.get("/v1/actors/user-with-a-name")
    await api("GET", "/v1/none/of/this")
    answer = await api("GET", "/metrics", key=None)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.text
    assert "user-with-a-name" not in text
    assert re.search(r'http_requests_total\{method="GET",route="/v1/actors/\{actor(:str)?\}",status="200"\} ', text)
    assert re.search(r'http_requests_total\{method="POST",route="/v1/activities",status="200"\} ', text)
    assert re.search(r'http_requests_total\{method="GET",route="none",status="404"\} ', text)
    assert re.search(r"milepost_intake_accepted_total [1-9]", text)
    assert 'milepost_pool_connections{pool="point",state="idle"}' in text


@pytest.mark.parametrize(("method", "path", "allowed"), [("PUT", "/v1/activities", "GET"), ("DELETE", "/v1/groups", "GET")])
async def test_methods(api: Api, method: str, path: str, allowed: str) -> None:
    """A method that a route does not have: 405 with those it has."""
    answer = await api(method, path)
    assert answer.status_code == 405
    assert allowed in answer.headers["allow"]
    assert answer.json()["type"] == "/problems/method-not-allowed"


async def test_routes_of_later(api: Api) -> None:
    """What is not there yet is not found, and says so as a problem."""
    for path in ("/v1/live", "/v1/activities/x/versions", "/favicon.ico"):
        answer = await api("GET", path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


async def test_front_page(api: Api) -> None:
    """A person sees what it is and where to go; nothing is fetched from elsewhere."""
    answer = await api("GET", "/", key=None)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for part in ("/openapi.json", "/healthz", "/metrics", "POST /v1/activities", "GET /v1/goals/{name}"):
        assert part in answer.text
    assert "http" not in answer.text.replace("<!doctype html>", "")


async def test_problems_are_explained(api: Api) -> None:
    """The type of each problem leads to a sentence about it."""
    for slug, kind in KINDS.items():
        answer = await api("GET", f"/problems/{slug}", key=None)
        assert answer.text == f"{kind.status} {kind.title}\n\n{kind.meaning}\n"
    assert (await api("GET", "/problems/none", key=None)).status_code == 404


# ── The description ────────────────────────────────────────────────────────────────────────────────────────────────────


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


async def test_openapi_has_an_entity_tag(api: Api) -> None:
    """As every answer to a GET of the API: who has it already gets 304."""
    first = await api("GET", "/openapi.json", key=None)
    again = await api("GET", "/openapi.json", key=None, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


async def test_openapi_is_complete(api: Api) -> None:
    """Every route is described: tag, summary, what it takes and answers, and every reference leads somewhere."""
    document = await api.get("/openapi.json", key=None)
    assert document["openapi"].startswith("3.1")
    tags = {tag["name"] for tag in document["tags"]}
    operations = [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]
    assert len(operations) > 25
    for path, method, operation in operations:
        where = f"{method} {path}"
        assert set(operation["tags"]) <= tags, where
        assert operation["summary"], where
        assert operation["responses"], where
        bodiless = (
            path.endswith(("}/replay", "}/restore", "}/run", "}/complete", "}/upload")) or "/follows/" in path
        )  # the path says it all
        assert ("requestBody" in operation) == (method in ("put", "patch", "post") and not bodiless), where
        named = set(re.findall(r"\{(\w+)\}", path))
        assert named == {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}, where
        if path.startswith("/v1/"):
            assert "default" in operation["responses"], where
    schemas_there = document["components"]["schemas"]
    for reference in set(references(document)):
        assert reference.removeprefix("#/components/schemas/") in schemas_there
    assert {one["name"] for one in document["paths"]["/v1/activities"]["get"]["parameters"]} >= {"from", "to", "data.NAME"}
    assert len({operation["operationId"] for _, _, operation in operations}) == len(operations)


WRONG = {"integer": "many", "boolean": "perhaps"}  # for a parameter of that type


async def test_every_parameter_that_is_wrong_or_missing_is_named(api: Api) -> None:
    """By its own name in the query, with the words it may be where it is one of several."""
    document = await api.get("/openapi.json", key=None)
    seen = set()
    for path, item in document["paths"].items():
        asked = [one for one in item.get("get", {}).get("parameters", ()) if one["in"] == "query"]
        required = {one["name"]: "a" for one in asked if one["required"] and one["schema"]["type"] == "string"}
        whole = re.sub(r"\{(\w+)\}", lambda one: "1" if one[1] in ("version", "number") else str(UUID(int=1)), path)
        for one in asked:
            shapes = one["schema"].get("oneOf", [one["schema"]])
            words = next((shape["enum"] for shape in shapes if "enum" in shape), None)
            wrong = "nope" if words else next((WRONG[shape["type"]] for shape in shapes if shape.get("type") in WRONG), None)
            tries = [({**required, one["name"]: wrong}, words)] if wrong else []
            if one["required"]:
                tries.append(({name: value for name, value in required.items() if name != one["name"]}, None))
            for params, listed in tries:
                answer = await api("GET", whole, params=params)
                assert answer.status_code == 400, (path, params, answer.text)
                (error,) = [found for found in answer.json()["errors"] if found["pointer"] == f"/{one['name']}"]
                if one["name"] not in params:
                    assert error["detail"] == "is required"
                if listed:
                    assert error["detail"] == f"'nope' is not one of {', '.join(filter(None, listed))}"
                seen.add((one["name"], "is required" if one["name"] not in params else "words" if listed else "type"))
    kinds = {("member", "is required"), ("to", "is required"), ("state", "words"), ("aggregate", "words"), ("limit", "type")}
    assert seen >= kinds | {("actor", "is required"), ("action", "is required"), ("format", "words"), ("kind", "words")}


async def test_nul_is_refused_everywhere(api: Api) -> None:
    """PostgreSQL knows no NUL. A parameter that has one, or a body, is the caller's mistake and named; wherever it stands, no answer is a 500."""
    document = await api.get("/openapi.json", key=None)
    asked = 0
    for path, item in document["paths"].items():
        route = re.sub(r"\{\w+\}", "1", path)
        for method, operation in item.items():
            parameters = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
            needed = {one["name"]: "1" for one in parameters if one.get("required")}
            for name in (one["name"].replace("NAME", "device") for one in parameters):
                answer = await api(method, route, params={**needed, name: "a\0b"})
                if name == "grant":  # a signature, which is looked at before the parameters are
                    assert answer.status_code < 500, (method, path)
                    continue
                assert answer.status_code == 400, (method, path, name, answer.text)
                assert f"/{name}" in [one["pointer"] for one in answer.json()["errors"]], (method, path, name, answer.text)
                asked += 1
            for name in re.findall(r"\{\w+\}", path):  # a slash within a part stands as NUL for a while
                answer = await api(method, re.sub(r"\{\w+\}", "1", path.replace(name, "a%2Fb")), params=needed)
                assert answer.status_code < 500, (method, path, name, answer.text)
            for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
                if media_type.endswith("json") and "x-ndjson" not in media_type:
                    sent = json.dumps(with_nul(body.get("schema", {}), document)).encode()
                    answer = await api(method, route, params=needed, content=sent, headers={"content-type": media_type})
                    assert answer.status_code < 500, (method, path, answer.text)
    assert asked > 100


def with_nul(shape: Any, document: Any) -> Any:
    """A body as the description has it, with a NUL in each text."""
    if "$ref" in shape:
        return with_nul(document["components"]["schemas"][shape["$ref"].rpartition("/")[2]], document)
    if "anyOf" in shape:
        return with_nul(min(shape["anyOf"], key=lambda one: one.get("type") != "string"), document)
    match shape.get("type"):
        case "array":
            return [with_nul(shape.get("items", {}), document)]
        case "object" if "properties" in shape:
            return {name: with_nul(one, document) for name, one in shape["properties"].items()}
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    return "a\0b"


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("POST", "/v1/standings", {"standings": [{"board": "distance", "members": ["a\0b"]}]}, "/standings/0/members/0"),
        ("POST", "/v1/admin/holds", {"reason": "a\0b", "actor": "user-1"}, "/reason"),
        ("POST", "/v1/files", {"verb": "run", "name": "a\0b", "type": "text/plain", "bytes": 1}, "/name"),
        ("PUT", "/v1/groups/team-1", {"kind": "team", "attributes": {"goal_m": {"x": ["\0"]}}}, "/attributes/goal_m/x/0"),
        ("POST", "/v1/admin/dead-letters/discard", {"all": True, "reason": "a\0b"}, "/reason"),
    ],
)
async def test_nul_in_a_body(api: Api, method: str, path: str, body: Any, pointer: str) -> None:
    """What cannot be stored is told before it is looked for, with where it stands; half of a surrogate pair is no JSON."""
    answer = await api(method, path, json=body)
    assert answer.status_code == 422, answer.text
    detail = "contains the character NUL (\\u0000), which cannot be stored"
    assert answer.json()["errors"] == [{"pointer": pointer, "detail": detail}]
    half = json.dumps(body).replace("\\u0000", "\\ud800").encode()
    assert (await api(method, path, content=half)).status_code == 400


async def test_null_is_no_value(api: Api) -> None:
    """A parameter that is no text has no value `null`: it would be taken for one left away. Of a text it is four letters."""
    for path, name, detail in (
        ("/v1/activities", "aggregate", "one of true, group, object"),
        ("/v1/groups/team-1/invitations", "state", "one of open, accepted, declined, revoked, expired"),
        ("/v1/reports/none", "days", "a value of it"),
        (f"/v1/admin/chain/{UUID(int=5)}", "head", "a value of it"),
    ):
        for text in ("null", "NULL"):
            answer = await api("GET", path, params={name: text})
            assert answer.status_code == 400, (path, answer.text)
            assert answer.json()["errors"] == [{"pointer": f"/{name}", "detail": f"{text!r} is not {detail}"}]
    assert (await api.get("/v1/activities", params={"actor": "null"}))["items"] == []


async def test_answers_are_as_described(api: Api) -> None:
    """Real answers have exactly the fields that the description names, of the types it names."""
    await api("PUT", "/v1/groups/team-1", json={"kind": "team", "attributes": {"goal_m": 10}})
    member = await api("PUT", "/v1/groups/team-1/members/user-1", json={"role": "member"})
    full = run_of(
        key="k",
        measures={"distance_m": 1.5},
        data={"device": "a"},
        source="s",
        status="t",
        object={"kind": "workout", "id": "1"},
    )
    taken = await api.send(full, {"actor": "user-1", "verb": "grade", "group": "team-1", "measures": {"score": 1},
                                  "object": {"kind": "assessment", "id": "1"}},
                           {"actor": "user-1", "verb": "report", "group": "team-1", "object": {"kind": "ticket", "id": "1"}})  # fmt: skip
    for schema, answer in (
        (activity_schemas.Taken, taken),
        (entity_schemas.Member, member.json()),
        (activity_schemas.Activity, await api.get(f"/v1/activities/{taken['ids'][0]}")),
        (activity_schemas.ActivityPage, await api.get("/v1/activities", params={"include": "actor,group"})),
        (entity_schemas.Group, await api.get("/v1/groups/team-1")),
        (entity_schemas.GroupPage, await api.get("/v1/groups")),
        (entity_schemas.Actor, await api.get("/v1/actors/user-1")),
        (entity_schemas.ActorPage, await api.get("/v1/actors")),
        (entity_schemas.MemberPage, await api.get("/v1/groups/team-1/members")),
        (number_schemas.RollupPage, await api.get("/v1/rollups/team_distance", params={"group": "team-1"})),
        (number_schemas.Goal, await api.get("/v1/goals/team_goal", params={"group": "team-1"})),
        (number_schemas.LatestPage, await api.get("/v1/latest/grade_book")),
        (number_schemas.PairPage, await api.get("/v1/pairs/tickets", params={"group": "team-1"})),
        (activity_schemas.ReceiptShown, await api.get(f"/v1/receipts/{taken['receipt']}")),
        (operation_schemas.Lanes, await api.get("/v1/admin/lanes")),
        (operation_schemas.KeyPage, await api.get("/v1/admin/keys")),
        (dead_letter_schemas.DeadLetterPage, await api.get("/v1/admin/dead-letters")),
        (dead_letter_schemas.DeadLetterLog, await api.get("/v1/admin/dead-letters/log")),
        (operation_schemas.AlertPage, await api.get("/v1/admin/alerts")),
        (operation_schemas.ModelShown, await api.get("/v1/admin/model")),
        (operation_schemas.Readiness, await api.get("/readyz")),
        (schemas.ProblemShown, (await api("GET", "/v1/activities?limit=0")).json()),
    ):
        if "items" in answer:
            assert answer["items"] or schema in (
                dead_letter_schemas.DeadLetterPage,
                dead_letter_schemas.DeadLetterLog,
                operation_schemas.AlertPage,
            ), schema
        read = msgspec.to_builtins(msgspec.convert(answer, schema))
        assert shape(read) == shape(answer), schema


def shape(part: Any) -> Any:
    """The names of the fields, at every depth."""
    if isinstance(part, dict):
        return {name: shape(value) for name, value in part.items()}
    if isinstance(part, list):
        return [shape(value) for value in part]
    return None


async def test_admin(api: Api) -> None:
    """Admin routes want the scope; they show the tenant's own keys and dead letters, and the model."""
    owner = await api.services.db.owner()
    try:
        for number in range(3):
            await owner.execute(
                b"INSERT INTO milepost.dead_letter (tenant_id, batch_id, kind, model, rows, received_at, payload, error)"
                b" VALUES (%s, %s, %s, 1, 5, now(), '', 'why')",
                (api.tenant_id, 1000 + number, number % 2),
            )
    finally:
        await owner.close()
    letters = await api.all_pages("/v1/admin/dead-letters", limit=1)
    assert [(one["batch_id"], one["kind"]) for one in letters] == [
        (1000, "activities"),
        (1001, "command"),
        (1002, "activities"),
    ]
    assert {one["name"] for one in (await api.get("/v1/admin/keys"))["items"]} == {"all", "read", "write", "admin"}
    assert (await api.get("/v1/admin/model"))["name"] == "spine"
    assert [one["lane"] for one in (await api.get("/v1/admin/lanes"))["items"]] == [0, 1]
    for path in ("lanes", "keys", "dead-letters", "model"):
        assert (await api("GET", f"/v1/admin/{path}", key="write")).status_code == 403


# ── The process ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_on_a_socket(served: Served, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Served by uvicorn: a request in flight is finished when it stops, and then nothing listens any more."""
    async with serving(served.settings, served.url, load=False) as server:
        queue = server.services.queue
        enqueue, reached, go_on = queue.enqueue, asyncio.Event(), asyncio.Event()

        async def held(**batch: Any) -> Any:
            reached.set()
            await go_on.wait()
            return await enqueue(**batch)

        headers = {"authorization": f"Bearer {api.keys['all']}"}
        async with httpx.AsyncClient(base_url=server.address, headers=headers, timeout=30) as client:
            body = {"activities": [run_of()]}
            answer = await client.post("/v1/activities", json=body, headers={"prefer": "wait=20"})
            assert (answer.status_code, answer.json()["loaded"]) == (200, 1)
            answer = await client.head("/v1/activities")
            assert (answer.status_code, answer.content) == (200, b"")
            answer = await client.post("/v1/activities", content=b" " * (21 * 1024 * 1024))
            assert answer.status_code == 413
            monkeypatch.setattr(queue, "enqueue", held)
            last = asyncio.create_task(client.post("/v1/activities", json=body))
            await reached.wait()
            server.stop()
            go_on.set()
            assert (await last).status_code == 202
        await server.wait()
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as client:
            await client.get(server.address)


async def test_an_answer_waits_for_no_acknowledgement(served: Served) -> None:
    """Nagle's algorithm is off on what comes in, on asyncio's own loop, too: an answer's second piece would wait 40 ms for the client's
    delayed acknowledgement of its first."""
    async with serving(served.settings, served.url, load=False) as server, httpx.AsyncClient(base_url=server.address) as client:
        assert (await client.get("/healthz")).status_code == 200
        (connection,) = server._server.server_state.connections
        assert isinstance(connection, asyncio.Protocol)
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_what_keeps_it_from_starting(served: Served, database_url: str) -> None:
    """A database without the schema, or an address in use, is a sentence before anything is served."""
    with pytest.raises(SchemaMismatch, match="milepost db migrate"):
        async with serving(served.settings, database_url):
            pass
    taken = listen(served.settings)
    try:
        with pytest.raises(SettingsError, match=r"Cannot listen on 127\.0\.0\.1:"):
            listen(replace(served.settings, port=taken.getsockname()[1]))
    finally:
        taken.close()


PROGRAM = """
import sys
from pathlib import Path
from milepost.settings import Settings
from milepost.telemetry import configure_logs
from milepost.web.server import serve

configure_logs("warning")
settings = Settings(data_dir=Path(sys.argv[2]), port=0, workers=int(sys.argv[3]), log_level="warning")
if __name__ == "__main__":
    serve(settings, sys.argv[1], on_ready=lambda address: print(address, flush=True))
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_as_a_program(web_url: str, tmp_path: Any, workers: int) -> None:
    """One process or several answer at the printed address, and SIGTERM ends them all cleanly."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    words = [sys.executable, str(script), web_url, str(tmp_path), str(workers)]
    running = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        address = (await running.stdout.readline()).decode().strip()
        async with httpx.AsyncClient(base_url=address) as client:
            for _ in range(4):
                assert (await client.get("/healthz")).json() == {"status": "up"}
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    port = int(address.rpartition(":")[2])
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


async def test_settings_name_no_secret() -> None:
    """The database's URL, which holds a password, is not in what is logged of the settings."""
    assert "swordfish" not in repr(Settings(database_url="postgresql://me:swordfish@db/milepost"))
