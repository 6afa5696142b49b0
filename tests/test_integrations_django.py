"""Django: requests with their user and route, changed rows with their differences, transactions, settings, and a server behind it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.db.models import F
from django.test import AsyncClient, Client
from django.utils import timezone
from psycopg.conninfo import conninfo_to_dict

from django_shop.models import Line, Order, Tag, Unwatched, UrgentOrder
from integration_site import Recorder, Site
from milepost.client import Milepost
from milepost.errors import InvalidInput
from milepost.intake.within import enqueue
from milepost.integrations.context import context
from milepost.integrations.django import audit, conf, register
from milepost.integrations.django.sinks import Within

pytest_plugins = ["fix_integrations", "fix_django"]

Told = Callable[..., None]


def user(name: str = "ann") -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_user(name)


def order(**fields: Any) -> Order:
    """A row that nobody logged."""
    made = Order(made_at=timezone.now(), **fields)
    made.save_base(raw=True)  # as loaddata does it
    return made


def changes(one: dict[str, Any]) -> Any:
    return one["data"]["changes"]


# ── Rows ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rows_life(recorded: Recorder) -> None:
    """Created, changed, deleted: each with what the declared fields held before and after, and nothing of the others."""
    made = Order.objects.create(total="12.50", team="team-3", internal=1)
    made.status, made.total, made.internal = "paid", Decimal("12.5"), 2  # 12.50 is 12.5
    made.save()
    made.save()
    made.internal = 3
    made.save()
    pk = made.pk
    made.delete()
    common = {"actor": "system", "object": {"kind": "django_shop.order", "id": str(pk)}, "group": "team-3"}
    assert [{name: value for name, value in one.items() if name not in ("data", "occurred_at")} for one in recorded.seen] == [
        common | {"verb": "create"},
        common | {"verb": "change"},
        common | {"verb": "delete"},
    ]
    assert [one["data"]["action"] for one in recorded.seen] == ["created", "changed", "deleted"]
    first, second, third = (changes(one) for one in recorded.seen)
    made_at = {"after": made.made_at.isoformat()}
    told = {"status": {"after": "new"}, "total": {"after": "12.50"}, "stock": {"after": 10}, "team": {"after": "team-3"}}
    assert first == told | {"details": {"after": {}}, "made_at": made_at}
    assert second == {"status": {"before": "new", "after": "paid"}}
    assert third["status"] == {"before": "paid"}
    assert "internal" not in first | second | third
    assert all(one["occurred_at"].tzinfo for one in recorded.seen)


def test_what_changed_is_asked_of_the_database(recorded: Recorder) -> None:
    """Not of when the instance was loaded; an expression is told by its outcome; of `update_fields` only those count."""
    made = order(stock=10, note="old")
    stale = Order.objects.get(pk=made.pk)
    Order.objects.filter(pk=made.pk).update(stock=7)
    stale.stock = F("stock") - 1
    stale.save()
    assert changes(recorded.last) == {"stock": {"before": 7, "after": 6}}
    again = Order.objects.defer("note").get(pk=made.pk)
    again.status, again.stock = "paid", 5
    again.save(update_fields=["status", "internal"])
    assert changes(recorded.last) == {"status": {"before": "new", "after": "paid"}}
    seen = len(recorded.seen)
    again.save(update_fields=["internal"])
    assert len(recorded.seen) == seen


def test_secrets_are_masked(recorded: Recorder) -> None:
    """By name, by `mask`, and inside JSON: that they changed is told, what they hold is not."""
    made = order(iban="DE1", access_token="t-1", details={"plan": "a", "api_key": "k-1"})
    made.iban, made.access_token, made.details = "DE2", "t-2", {"plan": "b", "api_key": "k-2"}
    made.save()
    assert changes(recorded.last) == {
        "iban": {"before": "***", "after": "***"},
        "access_token": {"before": "***", "after": "***"},
        "details": {"before": {"plan": "a", "api_key": "***"}, "after": {"plan": "b", "api_key": "***"}},
    }


def test_large_values_are_bounded(recorded: Recorder) -> None:
    """A long text is cut, bytes are only counted, a file is its name; NUL, which SQLite takes, is replaced."""
    made = order()
    made.note, made.blob, made.paper = "x\0" * 5_000, b"\0" * 9_000, "papers/a.pdf"
    made.save()
    said = changes(recorded.last)
    assert len(said["note"]["after"]) == 1_000
    assert "\0" not in said["note"]["after"]
    assert said["blob"] == {"before": None, "after": "9000 bytes"}
    assert said["paper"] == {"before": "", "after": "papers/a.pdf"}


def test_many_to_many(recorded: Recorder) -> None:
    """Keys added and removed, from either side, also all at once; what was there already is no change."""
    made, (a, b, c) = order(), [Tag.objects.create(name=name) for name in "abc"]
    made.tags.add(a, b)
    made.tags.add(a)
    made.tags.set([b, c])
    c.orders.remove(made)
    a.orders.add(made)
    made.tags.clear()
    b.orders.add(made)
    b.orders.clear()
    assert [changes(one)["tags"] for one in recorded.seen] == [
        {"added": [a.pk, b.pk]},
        {"removed": [a.pk]},
        {"added": [c.pk]},
        {"removed": [c.pk]},
        {"added": [a.pk]},
        {"removed": [a.pk, b.pk]},
        {"added": [b.pk]},
        {"removed": [b.pk]},
    ]
    assert {one["object"]["id"] for one in recorded.seen} == {str(made.pk)}


def test_other_models(recorded: Recorder) -> None:
    """Own verbs and kinds; foreign keys by their values; cascades are seen; proxies are their model; others are nobody's business."""
    urgent = UrgentOrder.objects.create()
    assert recorded.last["object"] == {"kind": "django_shop.order", "id": str(urgent.pk)}
    line = Line.objects.create(order_id=urgent.pk, text="shoes", day=date(2026, 3, 1))
    assert (recorded.last["verb"], recorded.last["object"]) == ("add", {"kind": "line", "id": str(line.pk)})
    assert changes(recorded.last) == {"order": {"after": urgent.pk}, "text": {"after": "shoes"}}
    Unwatched.objects.create(text="x")
    Order.objects.filter(pk=urgent.pk).delete()
    assert sorted(one["verb"] for one in recorded.seen[2:]) == ["delete", "remove"]


def test_what_signals_do_not_see(recorded: Recorder) -> None:
    """Writes in bulk and fixtures pass unseen, as the page says; deleting a queryset does not."""
    Order.objects.bulk_create([Order(), Order()])
    Order.objects.update(status="paid")
    order()
    assert recorded.seen == []
    Order.objects.all().delete()
    assert [one["verb"] for one in recorded.seen] == ["delete"] * 3


# ── Transactions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_what_is_committed(recorded: Recorder) -> None:
    """After the commit, in order; nothing of a savepoint or a transaction that was rolled back."""
    with transaction.atomic():
        made = Order.objects.create()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            made.status = "lost"
            made.save()
            raise ZeroDivisionError
        with transaction.atomic():
            made.status = "paid"
            made.save()
        assert recorded.seen == []
    assert [one["verb"] for one in recorded.seen] == ["create", "change"]
    assert changes(recorded.last) == {"status": {"before": "new", "after": "paid"}}
    assert recorded.seen[0]["occurred_at"] <= recorded.seen[1]["occurred_at"]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        made.delete()
        raise ZeroDivisionError
    assert len(recorded.seen) == 2


def test_a_sink_of_ones_own(told: Told, recorder: Recorder) -> None:
    """It is called within the transaction, with a complete activity; if it fails the change goes on, and there is a warning."""
    taken: list[tuple[dict[str, Any], str, bool]] = []
    told(CLIENT=lambda: recorder, SINK=lambda activity, *, using: taken.append((activity, using, in_atomic())))

    def in_atomic() -> bool:
        return bool(transaction.get_connection().in_atomic_block)

    with transaction.atomic():
        made = Order.objects.create()
    ((activity, using, inside),) = taken
    assert (activity["verb"], activity["actor"], activity["object"]["id"], using, inside) == (
        "create",
        "system",
        str(made.pk),
        "default",
        True,
    )


def test_a_sink_that_fails(told: Told, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Costs the activity, with a warning; the change stands."""

    def broken(activity: dict[str, Any], *, using: str) -> None:
        raise RuntimeError("no room")

    told(CLIENT=lambda: recorder, SINK=broken)
    made = Order.objects.create()
    assert Order.objects.filter(pk=made.pk).exists()
    assert [(record.name, record.levelno) for record in caplog.records] == [("milepost.integrations", logging.WARNING)]


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request(told: Told, recorder: Recorder) -> None:
    """Its user, its route and one id are with the row it changed, with what the view logged, and with the request itself."""
    told(CLIENT=lambda: recorder, REQUESTS={}, TRUSTED_PROXIES=["127.0.0.1"], ATTACH={"user_agent": None})
    made, browser, ann = order(), Client(), user()
    browser.force_login(ann)
    recorder.seen.clear()
    headers = {"x-request-id": "r-1", "x-forwarded-for": "203.0.113.9"}
    assert browser.post(f"/orders/{made.pk}/pay/?card=4111", headers=headers).content == b"paid"
    assert [(one["verb"], one["actor"]) for one in recorder.seen] == [
        ("change", str(ann.pk)),
        ("order", str(ann.pk)),
        ("request", str(ann.pk)),
    ]
    known = {"request_id": "r-1", "method": "POST", "path": f"/orders/{made.pk}/pay/", "ip": "203.0.113.9"}
    for one in recorder.seen:
        assert known.items() <= one["data"].items()
        assert one["data"]["route"] == "/orders/<int:pk>/pay/"
        assert "user_agent" not in one["data"]
        assert "4111" not in str(one)
    assert (recorder.last["status"], recorder.last["object"]) == ("200", {"kind": "route", "id": "/orders/<int:pk>/pay/"})


async def test_an_async_request(told: Told, recorder: Recorder) -> None:
    """The same, without a word to the database from the event loop."""
    told(CLIENT=lambda: recorder, REQUESTS={"skip": ["/stream/"]})
    made, ann = await sync_to_async(order)(), await sync_to_async(user)()
    browser = AsyncClient()
    await sync_to_async(browser.force_login)(ann)
    recorder.seen.clear()
    assert (await browser.post(f"/async/{made.pk}/")).content == b"paid"
    assert [(one["verb"], one["actor"], one["data"]["route"]) for one in recorder.seen] == [
        ("change", str(ann.pk), "/async/<int:pk>/"),
        ("order", str(ann.pk), "/async/<int:pk>/"),
        ("request", str(ann.pk), "/async/<int:pk>/"),
    ]


def test_failures_and_streams(told: Told, recorder: Recorder) -> None:
    """An unhandled exception is a 500 with its class; a missing page has no route; a stream passes."""
    told(CLIENT=lambda: recorder, REQUESTS={"anonymous": "visitor"})
    browser = Client(raise_request_exception=False)
    assert browser.get("/broken/").status_code == 500
    assert browser.get("/nowhere/").status_code == 404
    assert browser.get("/stream/").getvalue() == b"x"
    assert [(one["actor"], one["status"], one.get("object"), one["data"].get("error")) for one in recorder.seen] == [
        ("visitor", "500", {"kind": "route", "id": "/broken/"}, "ZeroDivisionError"),
        ("visitor", "404", None, None),
        ("visitor", "200", {"kind": "route", "id": "/stream/"}, None),
    ]


def test_no_requests_unless_asked(recorded: Recorder) -> None:
    """By default a request makes no activity, and its user is not looked up."""
    Client().get("/stream/")
    assert recorded.seen == []


# ── Settings and registrations ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"URLL": "x"}, r"no 'URLL'; did you mean 'URL'"),
        ({"SINK": "no.such.module"}, r"MILEPOST\['SINK'\]"),
        ({"REQUESTS": {"verbs": "x"}}, r"MILEPOST\['REQUESTS'\].*verbs"),
        ({"TRUSTED_PROXIES": ["x"]}, r"MILEPOST\['TRUSTED_PROXIES'\].*'x'"),
        ({"URL": "ftp://x", "KEY": "k"}, "not the address of a server"),
        ({"CLIENT": Recorder, "ATTACH": {"ipp": None}}, "no field 'ipp'; did you mean 'ip'"),
    ],
)
def test_wrong_settings(told: Told, given: dict[str, Any], complaint: str) -> None:
    """Name the key and the reason."""
    told(**given)
    with pytest.raises(ImproperlyConfigured, match=complaint):
        conf.client()


def test_without_an_address(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, and `manage.py check` says so, unless that is meant."""
    monkeypatch.delenv("MILEPOST_URL", raising=False)
    for given, warned in (({}, True), ({"ENABLED": False}, False)):
        told(**given)
        Order.objects.create()
        said = StringIO()
        call_command("check", stdout=said, stderr=said)
        assert ("milepost.W001" in said.getvalue()) is warned


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "say which fields"),
        ({"fields": "text"}, "list of names"),
        ({"fields": ["txt"]}, "no field 'txt'; did you mean 'text'"),
        ({"fields": "__all__", "mask": ["nothing"]}, "no field 'nothing'"),
        ({"exclude": [], "verb": {"made": "x"}}, "'made' is none of"),
    ],
)
def test_wrong_registrations(options: dict[str, Any], complaint: str) -> None:
    """Are refused when they are made."""
    with pytest.raises(ImproperlyConfigured, match=complaint):
        register(Unwatched, **options)
    audit._registered.pop(Unwatched, None)
    with pytest.raises(ImproperlyConfigured, match="registered already"):
        register(Order, fields="__all__")


# ── With a server, and without one ─────────────────────────────────────────────────────────────────────────────────────


def milepost_of(site: Site) -> dict[str, Any]:
    return {"URL": site.url, "KEY": site.key, "OPTIONS": {"spool_dir": site.spool_dir}}


def manage(*words: str) -> str:
    said = StringIO()
    call_command("milepost", *words, stdout=said, stderr=StringIO())
    return said.getvalue()


def close() -> None:
    client = conf.client().client
    assert isinstance(client, Milepost)
    client.close()


def test_read_back(told: Told, site: Site) -> None:
    """A row that a request changed is readable with the request's id."""
    told(**milepost_of(site), REQUESTS={})
    made, browser, ann = order(), Client(), user()
    browser.force_login(ann)
    assert browser.post(f"/orders/{made.pk}/pay/", headers={"x-request-id": "r-5"}).status_code == 200
    assert "Everything is delivered." in manage("flush")
    close()
    found = {one["verb"]: one for one in site.read()}
    assert set(found) == {"change", "order", "request"}
    assert found["change"]["data"]["changes"] == {"status": {"before": "new", "after": "paid"}}
    assert found["change"]["object"] == {"kind": "django_shop.order", "id": str(made.pk)}
    assert {(one["actor"], one["data"]["request_id"]) for one in found.values()} == {(str(ann.pk), "r-5")}
    assert len(site.read(**{"data.request_id": "r-5"})) == 3


@pytest.fixture
def milepost_database(site: Site) -> Iterator[str]:
    """The alias of milepost's own PostgreSQL, with the shop's tables in it."""
    given = conninfo_to_dict(site.database_url)
    place = {
        name.upper(): given.get(key, "")
        for name, key in (("name", "dbname"), ("user", "user"), ("host", "host"), ("port", "port"))
    }
    connections.databases["pg"] = connections["default"].settings_dict | place | {"ENGINE": "django.db.backends.postgresql"}
    models = (Tag, Order, Line)
    with connections["pg"].schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    yield "pg"
    with connections["pg"].schema_editor() as editor:
        for model in reversed(models):
            editor.delete_model(model)
    connections["pg"].close()
    del connections["pg"], connections.databases["pg"]


def test_within_the_transaction(told: Told, site: Site, milepost_database: str) -> None:
    """In milepost's own database an activity is there exactly if its change is; one that the model refuses takes the change back."""
    told(**milepost_of(site), SINK=Within(enqueue, site.tenant))
    with context(actor="ann", data={"request_id": "r-6"}):
        with transaction.atomic(using=milepost_database):
            made = Order.objects.using(milepost_database).create()
            with pytest.raises(ZeroDivisionError), transaction.atomic(using=milepost_database):
                Order.objects.using(milepost_database).all().delete()
                raise ZeroDivisionError
        made.status = "paid"
        made.save()  # in autocommit: in a transaction of its own
    with pytest.raises(InvalidInput, match="actor"), context(actor="x" * 1_000):
        with transaction.atomic(using=milepost_database):
            Order.objects.using(milepost_database).create()
    assert Order.objects.using(milepost_database).count() == 1
    found = site.read()
    assert [(one["verb"], one["actor"], one["data"]["action"], one["data"]["request_id"]) for one in found] == [
        ("create", "ann", "created", "r-6"),
        ("change", "ann", "changed", "r-6"),
    ]


def test_backfill(told: Told, site: Site) -> None:
    """Rows that are there already are logged once, however often it is done; without a time it is refused."""
    told(**milepost_of(site))
    rows = [order() for _ in range(7)]
    Order.objects.update(made_at="2026-03-01T07:12:00Z")
    for _ in range(2):
        assert manage("backfill", "django_shop.Order", "--batch", "3") == "7 rows of django_shop.Order are logged.\n"
    Line.objects.bulk_create([Line(order=rows[0], text="x")])
    with pytest.raises(CommandError, match=r"has no time: say one .* --at"):
        manage("backfill", "django_shop.Line")
    with pytest.raises(CommandError, match="needs a zone"):
        manage("backfill", "django_shop.Line", "--at", "2026-01-01")
    with pytest.raises(CommandError, match="not registered"):
        manage("backfill", "django_shop.Unwatched")
    close()
    found = site.read()
    assert [one["object"]["id"] for one in found] == sorted((str(row.pk) for row in rows), key=lambda pk: found_at(found, pk))
    assert len(found) == 7
    assert {(one["verb"], one["occurred_at"], one["actor"]) for one in found} == {("create", "2026-03-01T07:12:00Z", "system")}


def found_at(found: list[dict[str, Any]], pk: str) -> int:
    return [one["object"]["id"] for one in found].index(pk)


def test_check(told: Told, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the watched models, and says whether the server takes this key."""
    told(**milepost_of(site))
    said = manage("check")
    assert "django_shop.Line: order, text → add, change, remove" in said
    assert f"{site.url} takes activities." in said
    told(URL=site.url, KEY="mp_1_wrong")
    with pytest.raises(CommandError, match="answers 401"):
        manage("check")
    told(URL="http://127.0.0.1:9", KEY="k")
    with pytest.raises(CommandError, match="cannot be reached"):
        manage("check")
    monkeypatch.delenv("MILEPOST_URL", raising=False)
    told()
    with pytest.raises(CommandError, match="no URL"):
        manage("check")


def test_without_a_server(told: Told, nowhere: Milepost, tmp_path: Path) -> None:
    """Requests are answered and rows are saved as if nothing were missing."""
    told(CLIENT=lambda: nowhere, REQUESTS={})
    made, browser = order(), Client()
    for _ in range(20):
        assert browser.post(f"/orders/{made.pk}/pay/").status_code == 200
    assert Order.objects.get(pk=made.pk).status == "paid"
    with pytest.raises(CommandError, match=r"Not everything was delivered within 0\.1 s"):
        manage("flush", "--timeout", "0.1")
