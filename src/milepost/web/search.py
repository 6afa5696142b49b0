"""Search results: what `GET /v1/activities` answers where `q` is given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal

from litestar import Response
from litestar.di import Provide
from litestar.params import QueryParameter

from milepost.access.viewer import reader_of
from milepost.errors import FieldError, InvalidInput
from milepost.feeds.include import include
from milepost.limits import SEARCH_CHARACTERS_MAX
from milepost.search.progress import caught_up
from milepost.search.read import SET_MAX, Search, search_page
from milepost.search.shown import FACETS
from milepost.storage.filters import Filter
from milepost.web.answers import page
from milepost.web.intake import preferences
from milepost.web.parameters import one_of, words_of
from milepost.web.request import ApiRequest

__all__ = ["SEARCHED", "WAIT_FOR_INDEX", "Searched", "search_results"]

WAIT_FOR_INDEX = (
    "Prefer",
    "With `q`: `wait=5` waits up to so many seconds (at most 30) until what is loaded now is in the search index.",
)
ORDERS: tuple[Literal["newest", "relevance"], ...] = ("newest", "relevance")

Q = Annotated[
    str | None,
    QueryParameter(
        name="q",
        description='Only what holds these words, in what the model declares as searched: "a phrase", -without, or, and an asterisk '
        f"for the beginning of the last word. At most {SEARCH_CHARACTERS_MAX} characters.",
    ),
]
Order = Annotated[
    str | None,
    QueryParameter(
        name="order",
        description=f"Of search results: newest, or relevance, which ranks the {SET_MAX:,} newest matches and says so in `ranked`.",
    ),
]
Facets = Annotated[
    str | None,
    QueryParameter(
        name="facets",
        description=f"Of search results: how many matches there are by each of these, comma-separated: {', '.join(FACETS)}. Counted "
        f"over the {SET_MAX:,} newest matches, as `counted` says.",
    ),
]
Highlight = Annotated[
    bool,
    QueryParameter(
        name="highlight",
        description="Of search results: each item also has `highlight`, HTML of the fields in which words were found, escaped, with "
        "those words in <mark>.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What is asked of a list beside its filters, if anything is searched for in it."""

    q: str | None
    order: Literal["newest", "relevance"]
    facets: tuple[str, ...]
    highlight: bool


def searched(q: Q = None, order: Order = None, facets: Facets = None, highlight: Highlight = False) -> Searched:
    if q is None:
        asked = {"order": order, "facets": facets, "highlight": highlight or None}
        if alone := [FieldError(f"/{name}", "is of search results: it needs q") for name, value in asked.items() if value]:
            raise InvalidInput(errors=tuple(alone))
    return Searched(
        q=q,
        order="newest" if order is None else one_of("order", order, ORDERS),
        facets=words_of("facets", facets, FACETS),
        highlight=highlight,
    )


# A route whose handler takes `searched` has these parameters.
SEARCHED = {"searched": Provide(searched, sync_to_thread=False)}


async def search_results(
    request: ApiRequest,
    filter: Filter,
    searched: Searched,
    *,
    limit: int,
    cursor: str | None,
    fields: Collection[str],
    included: Collection[str],
) -> Response[bytes]:
    """searched: with `q`. `Prefer: wait=5` waits up to so long until what is loaded now is in the index."""
    assert searched.q is not None
    position = request.position(cursor)
    served, tenant_id, db = request.services.models.current, request.user.tenant_id, request.services.db
    wait_s = preferences(request.headers.get("prefer", "").encode("latin-1")).wait_s
    if wait_s is not None:
        await caught_up(db, tenant_id, within_s=wait_s)
    asked = Search(q=searched.q, filter=filter, order=searched.order, facets=searched.facets, highlight=searched.highlight)
    async with db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, served.model)
        found = await search_page(
            conn, tenant_id, asked, served.compiled, served.presenter, reader, limit=limit, after=position
        )
        more = found.more
        if included:
            more = {**more, "included": await include(conn, tenant_id, found.items, included, reader)}
    shown = {*fields, "highlight"}
    items = [{name: value for name, value in item.items() if name in shown} for item in found.items] if fields else found.items
    return page(request, items, found.next, **more)
