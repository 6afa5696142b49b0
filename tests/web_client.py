"""A tenant's view of a server under test: requests with its keys, and activities to send."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import httpx
from litestar.types import ASGIApp

from milepost.access.keys import create_key
from milepost.access.tenants import create_tenant
from milepost.settings import Settings
from milepost.web.services import Services

LANES = 2
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Served:
    url: str
    settings: Settings
    services: Services
    app: ASGIApp


class Api:
    """A tenant's view of the server. Requests carry its key unless they say otherwise; `key=None` sends none."""

    def __init__(self, served: Served, client: httpx.AsyncClient, tenant_id: int, keys: dict[str, str]) -> None:
        self.served = served
        self.services = served.services
        self.client = client
        self.tenant_id = tenant_id
        self.keys = keys

    async def __call__(
        self, method: str, path: str, *, key: str | None = "all", headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """key: the name of one of `keys`, or a key itself."""
        sent = dict(headers or {})
        if key is not None:
            sent["authorization"] = f"Bearer {self.keys.get(key, key)}"
        return await self.client.request(method, path, headers=sent, **more)

    async def get(self, path: str, **more: Any) -> Any:
        """What a GET that must succeed answers."""
        answer = await self("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, *activities: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Sends activities and waits until they are readable."""
        headers = {"prefer": "wait=20"} | more.pop("headers", {})
        answer = await self("POST", "/v1/activities", json={"activities": list(activities)}, headers=headers, **more)
        assert answer.status_code == 200, answer.text
        taken: dict[str, Any] = answer.json()
        assert taken["rejected"] == [], taken
        return taken

    async def all_pages(self, path: str, *, key: str = "all", viewer: str | None = None, **parameters: Any) -> list[Any]:
        """Every item of a list, page by page, as a viewer or the key itself sees it."""
        headers = {} if viewer is None else {"milepost-viewer": viewer}
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            found = await self.get(path, key=key, headers=headers, params={**parameters, **cursor})
            items += found["items"]
            if found["next"] is None:
                return items
            cursor = {"cursor": found["next"]}


def run_of(actor: str = "user-1", **fields: Any) -> dict[str, Any]:
    """A valid activity, as one changes it."""
    return {"actor": actor, "verb": "run", "occurred_at": "2026-03-01T07:12:00Z", "group": "team-1"} | fields


async def tenant_on(served: Served) -> tuple[int, dict[str, str]]:
    """A fresh tenant, and keys of it by what they may do."""
    async with served.services.db.transaction("write") as conn:
        tenant = await create_tenant(conn, f"tenant-{next(_numbers)}", LANES)
        keys = {
            name: await create_key(conn, tenant.tenant_id, scopes, name)
            for name, scopes in {
                "all": ["read", "write", "admin"],
                "read": ["read"],
                "write": ["write"],
                "admin": ["admin"],
            }.items()
        }
    return tenant.tenant_id, keys
