"""Export: all of a tenant's or of one actor's activities, content included, one after the other, newest first, from PostgreSQL and the archive.

It goes through the pages that lists have (`read_page`), each in a snapshot of its own, so memory and transactions stay small however much
there is. What is written meanwhile neither repeats nor skips anything older; what is newer than the first page is not in it.

`activity_streams` puts an activity into the vocabulary of ActivityStreams 2.0 (W3C Recommendation, 2017): the verb as an extended `type` beside
`Activity`, measures and data as properties of this deployment's own namespace, since that vocabulary has none for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec

from milepost.feeds.read import read_page
from milepost.model import Model
from milepost.postgres import Database
from milepost.storage.activities import Presenter, by_ids
from milepost.storage.content import Contents, kept_of
from milepost.storage.filters import Filter

__all__ = ["activity_streams", "exported"]

PAGE = 500
CONTEXT = ["https://www.w3.org/ns/activitystreams", {"milepost": "urn:milepost:"}]


async def exported(
    db: Database, tenant_id: int, model: Model, presenter: Presenter, filter: Filter, contents: Contents
) -> AsyncIterator[dict[str, Any]]:
    """Activities as the API shows them, with `content` where they have any. presenter: one that knows the archive's files. contents: where
    large ones lie. Raises `StoreUnavailable`, `ObjectDamaged`, rather than leave something out."""
    before: UUID | None = None
    while True:
        async with db.transaction("analytics", tenant_id=tenant_id, snapshot=True) as conn:
            page = await read_page(conn, tenant_id, filter, model, presenter, limit=PAGE, before=before)
            ids = [UUID(item["id"]) for item in page.items]
            whole = await by_ids(conn, tenant_id, ids, presenter, content=True) if ids else {}
            kept = await kept_of(conn, tenant_id, [current for current, _, content in whole.values() if content is None])
        for id_, item in zip(ids, page.items, strict=True):
            current, _, content = whole.get(id_, (id_, None, None))
            if current in kept:
                content = msgspec.Raw(await contents.whole(kept[current]))
            yield item if content is None else item | {"content": content}
        if page.next is None:
            return
        before = page.next


def activity_streams(activity: dict[str, Any]) -> dict[str, Any]:
    """One activity as an ActivityStreams 2.0 object."""
    shown: dict[str, Any] = {
        "@context": CONTEXT,
        "id": f"urn:uuid:{activity['id']}",
        "type": ["Activity", f"milepost:{activity['verb']}"],
        "actor": {"type": "Person", "id": f"milepost:actor/{activity['actor']}"},
        "published": activity["received_at"],
        "startTime": activity["occurred_at"],
    }
    if "object" in activity:
        kind, name = activity["object"]["kind"], activity["object"]["id"]
        shown["object"] = {"type": f"milepost:{kind}", "id": f"milepost:object/{kind}/{name}"}
    groups = activity.get("groups") or ([activity["group"]] if "group" in activity else [])
    if groups:
        shown["audience"] = [{"type": "Group", "id": f"milepost:group/{group}"} for group in groups]
    if activity["visibility"] == "public":
        shown["to"] = "https://www.w3.org/ns/activitystreams#Public"
    if "files" in activity:
        shown["attachment"] = [_attached(name, file) for name, files in activity["files"].items() for file in files]
    names = ("measures", "data", "content", "source", "status", "key", "visibility", "version")
    return shown | {f"milepost:{name}": activity[name] for name in names if name in activity}


def _attached(name: str, file: dict[str, Any]) -> dict[str, Any]:
    kinds = {"image": "Image", "video": "Video", "audio": "Audio"}
    shown = {"type": kinds.get(file.get("type", "").partition("/")[0], "Document"), "id": f"milepost:file/{file['id']}"}
    shown |= {
        there: file[here] for here, there in (("type", "mediaType"), ("url", "url"), ("filename", "name")) if here in file
    }
    return shown | {"milepost:file": name}
