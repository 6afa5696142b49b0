"""Dead letters over HTTP: listed, looked into, replayed and discarded; alerts; and that no other tenant sees any of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from milepost.jobs.alerts import watch_dead_letters
from milepost.web import activity_schemas, dead_letter_schemas
from web_client import Api, run_of, tenant_on

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/admin/dead-letters"


@asynccontextmanager
async def poisoned(api: Api) -> AsyncIterator[None]:
    """For the block, the tables refuse this tenant's activities of status `poison`."""
    owner = await api.services.db.owner()
    try:
        condition = f"tenant_id <> {api.tenant_id} OR status <> 'poison'"
        await owner.execute(f"ALTER TABLE milepost.activity ADD CONSTRAINT poison CHECK ({condition}) NOT VALID".encode())
        try:
            yield
        finally:
            await owner.execute(b"ALTER TABLE milepost.activity DROP CONSTRAINT poison")
    finally:
        await owner.close()


async def set_aside(api: Api, *activities: dict[str, Any]) -> dict[str, Any]:
    """Sends activities of which those of status `poison` are set aside. → the answer."""
    async with poisoned(api):
        answer = await api("POST", "/v1/activities", json={"activities": list(activities)}, headers={"prefer": "wait=20"})
    taken: dict[str, Any] = answer.json()
    return taken


async def test_a_part_is_set_aside(api: Api) -> None:
    """Who waits is told how many, the receipt says it later, and the letter has the row, its error and the way back."""
    taken = await set_aside(api, run_of("user-1", key="good"), run_of("user-2", key="bad", status="poison"))
    assert (taken["loaded"], taken["duplicates"], taken["set_aside"]) == (1, 0, 1)
    state = await api.get(f"/v1/receipts/{taken['receipt']}")
    assert (state["state"], state["loaded"], state["set_aside"]) == ("loaded", 1, 1)
    (letter,) = await api.all_pages(PATH)
    assert (letter["first_row"], letter["rows"], letter["batch_rows"], letter["kind"]) == (1, 1, 2, "activities")
    assert (letter["error_class"], letter["facts"]["sqlstate"], letter["facts"]["constraint"]) == (
        "constraint",
        "23514",
        "poison",
    )
    assert letter["receipt"] == taken["receipt"]
    shown = await api.get(f"{PATH}/{letter['id']}")
    for schema, answer in (
        (dead_letter_schemas.DeadLetterPage, await api.get(PATH)),
        (dead_letter_schemas.DeadLetterShown, shown),
        (activity_schemas.ReceiptShown, state),
        (activity_schemas.Taken, taken),
    ):
        assert set(msgspec.to_builtins(msgspec.convert(answer, schema))) == set(answer), schema
    (item,) = shown["items"]
    assert (item["row"], item["id"]) == (1, taken["ids"][1])
    assert item["activity"] == run_of("user-2", key="bad", status="poison", visibility="group")
    answer = await api("POST", f"{PATH}/{letter['id']}/replay")
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["letters"], done["rows"], done["kept"]) == (1, 1, 0)
    await loaded(api, done["receipts"][0])
    assert (await api.get(f"/v1/activities/{taken['ids'][1]}"))["status"] == "poison"
    assert (await api("POST", f"{PATH}/{letter['id']}/replay")).status_code == 404
    assert "set_aside" not in await api.get(f"/v1/receipts/{taken['receipt']}")
    (entry,) = (await api.get(f"{PATH}/log"))["items"]
    assert (entry["done"], entry["rows"], entry["errors"]) == ("replayed", 1, {"constraint": 1})
    assert entry["by"].startswith("key ")
    assert msgspec.convert(entry, dead_letter_schemas.DeadLetterLogEntry) and msgspec.convert(
        done, dead_letter_schemas.Replayed
    )


async def loaded(api: Api, receipt: str) -> None:
    """Waits until what has this receipt is loaded."""
    async with asyncio.timeout(20):
        while (await api.get(f"/v1/receipts/{receipt}"))["state"] == "waiting":
            pass


async def test_all_of_it_is_set_aside(api: Api) -> None:
    """The answer stays 202, as for what is not loaded yet, and the receipt says what became of it."""
    taken = await set_aside(api, run_of(key="bad", status="poison"))
    assert "loaded" not in taken
    assert taken["set_aside"] == 1
    state = await api.get(f"/v1/receipts/{taken['receipt']}")
    assert (state["state"], state["set_aside"]) == ("set aside", 1)


async def test_pages_and_filters(api: Api) -> None:
    """A page never repeats or skips; filters combine; what is no filter is named."""
    rows = [run_of(f"user-{n}", key=str(n), **({"status": "poison"} if n % 2 else {})) for n in range(10)]
    await set_aside(api, *rows)
    letters = await api.all_pages(PATH, limit=2)
    assert [one["first_row"] for one in letters] == [1, 3, 5, 7, 9]
    assert await api.all_pages(PATH, error_class="constraint", kind="activities") == letters
    assert await api.all_pages(PATH, kind="command") == []
    assert await api.all_pages(PATH, to="2026-01-01") == []
    assert await api.all_pages(PATH, **{"from": letters[0]["failed_at"], "limit": 3}) == letters
    for query, pointer, said in (
        ("error_class=constrain", "/error_class", "did you mean constraint?"),
        ("kind=batch", "/kind", "is none of activities, command, raw"),
        ("from=yesterday", "/from", "is not an RFC 3339 time"),
        ("clas=data", "/clas", "is not a parameter"),
    ):
        answer = await api("GET", f"{PATH}?{query}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert said in answer.text, answer.text


async def test_replaying_several(api: Api) -> None:
    """By a selection or all; a body that says nothing, or something unknown, is refused; two at once replay once."""
    await set_aside(api, *(run_of(f"user-{n}", key=str(n), **({"status": "poison"} if n % 2 else {})) for n in range(8)))
    for body, pointer in (
        ({}, "/all"),
        ({"all": True, "kind": "raw"}, "/all"),
        ({"al": True}, "/al"),
        ({"ids": []}, "/ids"),
        ({"ids": ["one"]}, "/ids"),
        ({"all": 1}, "/all"),
        ({"kind": 7}, "/kind"),
        ({"from": 3}, "/from"),
    ):
        answer = await api("POST", f"{PATH}/replay", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer), body
    letters = await api.all_pages(PATH)
    done = (await api("POST", f"{PATH}/replay", json={"ids": [letters[0]["id"]]})).json()
    assert (done["letters"], done["rows"]) == (1, 1)
    both = await asyncio.gather(*(api("POST", f"{PATH}/replay", json={"all": True}) for _ in range(2)))
    assert sum(answer.json()["letters"] for answer in both) == 3
    for answer in both:
        for receipt in answer.json()["receipts"]:
            await loaded(api, receipt)
    assert await api.all_pages(PATH) == []
    rows = (await api.get("/v1/rollups/team_distance", params={"group": "team-1", "bucket": "all"}))["items"]
    assert rows[0]["values"]["count"] == 8


async def test_discarding(api: Api) -> None:
    """One by its number, several by a selection; never without a reason, which the log keeps."""
    await set_aside(api, *(run_of(f"user-{n}", key=str(n), **({"status": "poison"} if n % 2 else {})) for n in range(6)))
    one, *rest = await api.all_pages(PATH)
    answer = await api("DELETE", f"{PATH}/{one['id']}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/reason")
    assert (await api("DELETE", f"{PATH}/{one['id']}", params={"reason": "a test's"})).status_code == 204
    assert (await api("DELETE", f"{PATH}/{one['id']}", params={"reason": "again"})).status_code == 404
    assert (await api("POST", f"{PATH}/discard", json={"all": True})).json()["errors"][0]["pointer"] == "/reason"
    done = (await api("POST", f"{PATH}/discard", json={"all": True, "reason": "the rest"})).json()
    assert done == {"letters": len(rest), "rows": len(rest)}
    entries = await api.all_pages(f"{PATH}/log", limit=1)
    assert [(entry["done"], entry["reason"], entry["letters"]) for entry in entries] == [
        ("discarded", "the rest", 2),
        ("discarded", "a test's", 1),
    ]


async def test_another_tenants(api: Api) -> None:
    """Another tenant's letters are not listed, and asked for by number they are as little there as none; keys need `admin`."""
    await set_aside(api, run_of(key="bad", status="poison"))
    (letter,) = await api.all_pages(PATH)
    _, keys = await tenant_on(api.served)
    other = keys["admin"]
    assert (await api.get(PATH, key=other))["items"] == []
    for method, path in (
        ("GET", f"{PATH}/{letter['id']}"),
        ("POST", f"{PATH}/{letter['id']}/replay"),
        ("DELETE", f"{PATH}/{letter['id']}?reason=mine"),
        ("GET", f"{PATH}/nonsense"),
        ("GET", f"{PATH}/{10**30}"),
    ):
        answer = await api(method, path, key=other)
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such dead letter.")
    assert (await api("POST", f"{PATH}/replay", json={"all": True}, key=other)).json()["letters"] == 0
    assert (await api("POST", f"{PATH}/replay", json={"ids": [letter["id"]]}, key=other)).json()["letters"] == 0
    assert [one["id"] for one in await api.all_pages(PATH)] == [letter["id"]]
    for name in ("read", "write"):
        assert (await api("GET", PATH, key=name)).status_code == 403
        assert (await api("GET", "/v1/admin/alerts", key=name)).status_code == 403


async def test_an_alert_until_it_is_resolved(api: Api) -> None:
    """Growth opens an alert of the tenant, once; it stays until fewer letters lie there, and is then shown as resolved."""
    owner = await api.services.db.owner()
    try:
        await set_aside(api, *(run_of(f"user-{n}", key=str(n), status="poison") for n in range(3)))
        await watch_dead_letters(owner, 4)
        assert await api.all_pages("/v1/admin/alerts") == []
        for _ in range(2):
            await watch_dead_letters(owner, 3)
            (alert,) = await api.all_pages("/v1/admin/alerts")
            assert (alert["kind"], alert["deployment"], alert["resolved_at"]) == ("dead_letters", False, None)
            assert alert["detail"] == "3 rows lie in the dead letters, 3 of them set aside in the last hour."
        _, keys = await tenant_on(api.served)
        assert (await api.get("/v1/admin/alerts", key=keys["admin"]))["items"] == []
        await set_aside(api, *(run_of(f"user-{n}", key=str(n), status="poison") for n in range(10, 14)))
        await watch_dead_letters(owner, 3)
        (alert,) = await api.all_pages("/v1/admin/alerts")
        assert alert["detail"].startswith("7 rows")
        await api("POST", f"{PATH}/discard", json={"all": True, "reason": "a test's"})
        await watch_dead_letters(owner, 3)
        assert await api.all_pages("/v1/admin/alerts") == []
        (alert,) = await api.all_pages("/v1/admin/alerts", resolved="true")
        assert alert["resolved_at"] is not None
    finally:
        await owner.close()
