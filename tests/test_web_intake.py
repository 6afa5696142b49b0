"""POST /v1/activities."""
from __future__ import annotations
import pytest
from web_client import Api, run_of
pytestmark = pytest.mark.asyncio(loop_scope="module")
pytest_plugins = ["fix_web"]

async def test_wait(api: Api) -> None:
    """x."""
    taken = await api.send(run_of(measures={"distance_m": 5200.5}), run_of(actor="b"))
    print(taken)
    page = await api.get("/v1/groups/team-1/feed")
    print(page)
    print(await api.get("/v1/rollups/team_distance?group=team-1"))
    for p in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/admin/lanes", "/nope", "/v1/activities/abc"):
        r = await api("GET", p); print(p, r.status_code, r.headers.get("content-type"), r.text[:300])
