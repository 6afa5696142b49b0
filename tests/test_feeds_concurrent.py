"""Readers page through feeds, searches and boards while others write: no gap and no repeat among what stays, and never what may not be
seen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from effort import LONG
from milepost.feeds import _sides, listed
from milepost.search import find
from web_client import Api, run_of

pytest_plugins = ["fix_web"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

VISIBILITIES = ("public", "group", "private")
ROUNDS = 8 if LONG else 4  # of the writer


def at(rng: random.Random) -> str:
    return f"2026-0{rng.randint(1, 3)}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"


def one(rng: random.Random, key: str) -> dict[str, Any]:
    return run_of(
        f"user-{rng.randint(1, 6)}",
        key=key,
        occurred_at=at(rng),
        group=None,
        groups=rng.sample(["team-1", "team-2", "team-3"], rng.randint(1, 2)),
        visibility=rng.choice(VISIBILITIES),
        object={"kind": "workout", "id": f"w-{rng.randint(1, 4)}"},
        status=rng.choice(["ok", "late"]),
        data={"note": rng.choice(["by the river", "uphill"])},
    )


def visible(item: dict[str, Any], group: str | None = None) -> bool:
    """To user-1, who may read team-1. group: in whose feed."""
    if item["visibility"] == "group":
        return "team-1" in ([group] if group else item.get("groups") or [item["group"]])
    return bool(item["visibility"] == "public" or item["actor"] == "user-1")


def of_group(item: dict[str, Any], group: str) -> bool:
    return group in (item.get("groups") or [item["group"]])


def at_home(item: dict[str, Any]) -> bool:
    followed = item["actor"] in ("user-2", "user-3") or item["object"]["id"] == "w-1"
    return (followed and visible(item)) or (of_group(item, "team-2") and visible(item, "team-2"))


def climbs(rng: random.Random, member: str, **fields: Any) -> dict[str, Any]:
    """What counts on the board alone: in a group that is of no feed here."""
    return run_of(member, group="team-9", occurred_at=at(rng), measures={"distance_m": rng.randint(1, 300)}, **fields)


READS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "/v1/activities": visible,
    "/v1/activities?status=late": lambda item: visible(item) and item["status"] == "late",
    "/v1/groups/team-1/feed": lambda item: of_group(item, "team-1") and visible(item, "team-1"),
    "/v1/groups/team-2/feed": lambda item: of_group(item, "team-2") and visible(item, "team-2"),
    "/v1/actors/user-2/feed": lambda item: item["actor"] == "user-2" and visible(item),
    "/v1/objects/workout/w-1/feed": lambda item: item["object"]["id"] == "w-1" and visible(item),
    "/v1/home": at_home,
    "/v1/activities?q=river": lambda item: visible(item) and "river" in item["data"]["note"],
}


@pytest.mark.parametrize("seed", range(4 if LONG else 1))
async def test_readers_beside_a_writer(api: Api, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Each reader, from its first page to its last, sees what stays once, in order, and of all that changes only what it may."""
    monkeypatch.setattr(listed, "SCANNED_MAX", 5)
    monkeypatch.setattr(_sides, "LOOKS", (3, 5, 9))
    monkeypatch.setattr(_sides, "LEG_ROWS_MIN", 2)
    monkeypatch.setattr(_sides, "LEGS_UNWINDOWED_MAX", 2)
    monkeypatch.setattr(find, "LED_MAX", 5)
    monkeypatch.setattr(find, "WALKED_MAX", 6)
    rng = random.Random(seed)
    await api("PUT", "/v1/groups/team-1/members/user-1", json={"role": "member"})
    for path in ("actor/user-2", "actor/user-3", "group/team-2", "object/workout/w-1"):
        assert (await api("PUT", f"/v1/actors/user-1/follows/{path}")).status_code == 200
    await api.send(*(one(rng, f"stays-{n}") for n in range(80)))
    stays = await api.all_pages("/v1/activities", limit=500)
    await api.get("/v1/activities", params={"q": "river"}, headers={"prefer": "wait=20"})  # until they are in the index
    await api.send(*(climbs(rng, f"stands-{n}") for n in range(30)), *(climbs(rng, f"moves-{n}") for n in range(10)))
    masked = [f"stands-{n}" for n in range(0, 30, 4)]
    for member in masked:
        assert (await api("PUT", f"/v1/boards/distance/members/{member}", json={"shown": "masked"})).status_code == 200
    ladder = [item["member"] for item in await api.all_pages("/v1/boards/distance", window="all", limit=500)]
    stands = [member for member in ladder if member.startswith("stands") and member not in masked]
    writing = asyncio.Event()

    async def write() -> None:
        changing: list[str] = []
        for number in range(ROUNDS):
            sent = await api.send(*(one(rng, f"comes-{number}-{n}") for n in range(4)))
            changing += sent["ids"]
            await api.send(*(climbs(rng, f"moves-{rng.randrange(10)}", key=f"climb-{number}-{n}") for n in range(4)))
            chosen = rng.choice(changing)
            if rng.random() < 0.5:
                await api("DELETE", f"/v1/activities/{chosen}")
            else:
                patch = rng.choice([{"visibility": rng.choice(VISIBILITIES)}, {"occurred_at": at(rng)}, {"groups": ["team-3"]}])
                await api("PATCH", f"/v1/activities/{chosen}", json=patch)
        writing.set()

    async def read(path: str, limit: int) -> int:
        wanted, times = READS[path], 0
        while not writing.is_set() or not times:
            seen: list[Any] = []
            cursor: dict[str, str] = {}
            path_, _, query = path.partition("?")
            asked = dict(part.split("=") for part in query.split("&") if part)
            while True:
                answer = await api(
                    "GET", path_, params={**asked, **cursor, "limit": str(limit)}, headers={"milepost-viewer": "user-1"}
                )
                assert answer.status_code == 200, answer.text
                page = answer.json()
                seen += page["items"]
                if page["next"] is None:
                    break
                cursor = {"cursor": page["next"]}
            assert all(wanted(item) for item in seen), path
            assert [item for item in seen if item["key"].startswith("stays")] == [item for item in stays if wanted(item)], path
            times += 1
        return times

    async def climb() -> None:
        """The board: who does not move stands on one page of it, and who is masked has a place on one, and no name."""
        while not writing.is_set():
            seen = await api.all_pages("/v1/boards/distance", viewer="user-1", window="all", limit=4)
            names = [item["member"] for item in seen]
            assert [name for name in names if name in stands] == stands
            assert names.count(None) == len(masked)
            assert not set(masked) & set(names)

    writer = asyncio.create_task(write())
    readers = [read(path, limit) for path, limit in zip(READS, (3, 7, 2, 5, 4, 6, 3, 4), strict=True)]
    await asyncio.gather(writer, climb(), *readers)
