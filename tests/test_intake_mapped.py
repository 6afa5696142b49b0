"""Mapped: which section takes a message, what stands where a section says nothing, and what nothing takes."""

from __future__ import annotations

from typing import Any

import pytest

from milepost.intake.mapped import Mapped, Unmapped
from milepost.mapping.paths import Unfit
from milepost.mapping.standards import STANDARDS
from milepost.model import parse_model

MODEL = """
name = "shop"
[groups.company]
[groups.team]
parent = "company"
roles.member = ["read"]
roles.lead = ["read"]
[verbs.order_paid]
object = "order"
measures.total = "decimal(2)"
measures.items = "integer"
[verbs.paid]
[verbs.page]
"""
TRACK = {"type": "track", "event": "Order Paid", "userId": 7, "messageId": "m", "timestamp": "2026-03-01T07:12:00Z"}


def mapped(sections: str = "", standard: str = "segment", model: str = MODEL) -> Mapped:
    return Mapped(STANDARDS[standard], parse_model(model + sections))


def made(message: Any, sections: str = "", standard: str = "segment") -> dict[str, Any]:
    activity = mapped(sections, standard).make(message).activity
    assert activity is not None
    return activity


def test_the_first_section_that_fits() -> None:
    """Sections are tried in their order, whether they name the event or only look at something else."""
    sections = """
        [[maps.segment.activities]]
        where = { event = "Order Paid", "properties.test" = true }
        verb = "page"
        [[maps.segment.activities]]
        where = { "context.app" = { like = "shop-*" } }
        verb = "paid"
        [[maps.segment.activities]]
        where = { event = ["Order Paid", "Order Settled"] }
        verb = "order_paid"
    """
    verbs = [
        made(TRACK | more, sections)["verb"]
        for more in (
            {"properties": {"test": True}},
            {"context": {"app": "shop-web"}},
            {"context": {"app": "desk"}},
            {"event": "Order Settled"},
        )
    ]
    assert verbs == ["page", "paid", "order_paid", "order_paid"]


def test_what_a_section_leaves_out_is_as_by_default() -> None:
    """Measures by their names, the object by its kind, and the rest as data; each can be said, too."""
    message = TRACK | {"properties": {"orderId": 5, "total": 9.5, "items": "many", "coupon": "x", "empty": None}}
    assert made(message) == {
        "key": "m",
        "actor": "7",
        "verb": "order_paid",
        "source": "segment",
        "occurred_at": made(message)["occurred_at"],
        "object": {"kind": "order", "id": "5"},
        "measures": {"total": 9.5},
        "data": {"orderId": 5, "items": "many", "coupon": "x"},
    }
    section = '[[maps.segment.activities]]\nmeasures.items = "{properties.total}"\ndata.code = "{properties.coupon}"\n'
    assert {"verb", "object"} < made(message, section).keys()
    assert made(message, section)["measures"] == {"items": 9.5}
    assert made(message, section)["data"] == {"code": "x"}
    rest = made(message, section + 'rest = true\ndrop = ["orderId"]\n')["data"]
    assert rest == {"code": "x", "items": "many"}


@pytest.mark.parametrize(
    ("type_", "verb"),
    [
        ("com.shop.OrderPaid", "order_paid"),
        ("com.shop.invoice.paid", "paid"),
        ("com.shop/order.paid", "order_paid"),
        ("Page", "page"),
    ],
)
def test_a_verb_is_called_like_the_end_of_a_type(type_: str, verb: str) -> None:
    """The longest end that is a verb counts."""
    assert made({"type": type_, "id": "1", "source": "s", "authid": "u"}, standard="cloudevents")["verb"] == verb


@pytest.mark.parametrize(
    ("message", "pointer", "says"),
    [
        (TRACK | {"event": "Order Lost"}, "/event", 'where = { event = "Order Lost" }'),
        (TRACK | {"event": None}, "/event", "it has none"),
        (TRACK | {"type": "screen"}, "/event", "declare a verb screen"),
        (TRACK | {"type": "alias"}, "/type", 'where = { type = "alias" }'),
        ({}, "/type", "it has none"),
        ({"userId": "u"}, "/type", "it has none, and no section of the model takes it; add"),
    ],
)
def test_what_nothing_takes_names_the_section_to_add(message: Any, pointer: str, says: str) -> None:
    """An error that a reader can act on."""
    with pytest.raises(Unmapped) as caught:
        mapped().make(message)
    assert caught.value.pointer == pointer
    assert says in caught.value.rule
    assert "[[maps.segment.activities]]" in caught.value.rule


def test_a_message_that_lacks_something_is_unfit() -> None:
    """It is not unmapped: dropping those does not drop this."""
    with pytest.raises(Unfit) as caught:
        mapped("[maps.segment]\nunmapped = 'drop'\n").make(TRACK | {"userId": None})
    assert (caught.value.pointer, type(caught.value)) == ("/actor", Unfit)


@pytest.mark.parametrize(
    ("standard", "message", "pointer", "rule"),
    [
        ("segment", TRACK | {"userId": None}, "/actor", "is missing (from userId or anonymousId)"),
        ("segment", TRACK | {"timestamp": "x"}, "/occurred_at", "is not a time (from originalTimestamp or timestamp)"),
        ("segment", {"type": "group", "userId": "u"}, "/id", "is missing (from groupId)"),
        ("segment", {"type": "identify"}, "/id", "is missing (from userId or anonymousId)"),
        ("cloudevents", {"type": "c.order_paid", "authid": "u", "time": "x"}, "/occurred_at", "is not a time (from time)"),
        ("otlp", {"event_name": "order_paid"}, "/actor",
         'is missing (from attributes."enduser.id" or attributes."user.id" or resource."enduser.id")'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_the_messages_own_names(standard: str, message: Any, pointer: str, rule: str) -> None:
    """A sender knows what it sent, not what that becomes here."""
    with pytest.raises(Unfit) as caught:
        mapped(standard=standard).make(message)
    assert (caught.value.pointer, caught.value.rule) == (pointer, rule)


def test_a_section_says_itself_where_its_values_are() -> None:
    """Also one that is in a table, and a measure."""
    section = """[[maps.segment.activities]]
    where = { event = "Sold" }
    verb = "order_paid"
    actor = { from = "properties.who" }
    measures.total = { from = "properties.sum", times = 100 }
    """
    for properties, pointer, rule in (
        ({}, "/actor", "is missing (from properties.who)"),
        ({"who": "u", "sum": "x"}, "/measures/total", "is not a number (from properties.sum)"),
    ):
        with pytest.raises(Unfit) as caught:
            mapped(section).make(TRACK | {"event": "Sold", "properties": properties})
        assert (caught.value.pointer, caught.value.rule) == (pointer, rule)


def test_a_role_that_the_model_leaves_open_must_be_said() -> None:
    """Of several roles, none of which is member, a section names one."""
    group = {"type": "group", "userId": "u", "groupId": "g", "timestamp": "2026-03-01T07:12:00Z"}
    open_ = MODEL.replace("roles.member", "roles.clerk")
    with pytest.raises(Unmapped, match=r"maps\.segment\.members"):
        mapped(model=open_).make(group)
    made_ = mapped('[[maps.segment.members]]\nrole = "clerk"\n', model=open_).make(group)
    assert [(one["do"], one.get("kind"), one.get("role")) for one in made_.commands] == [
        ("put_group", "team", None),
        ("put_member", None, "clerk"),
    ]
