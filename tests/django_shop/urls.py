"""Views, sync and async, that change rows and log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from django_shop.models import Order
from milepost.integrations.django import log


def pay(request: HttpRequest, pk: int) -> HttpResponse:
    order = Order.objects.get(pk=pk)
    order.status = "paid"
    order.save()
    log("order", object={"kind": "order", "id": str(pk)})
    return HttpResponse("paid")


async def pay_async(request: Any, pk: int) -> HttpResponse:
    if hasattr(request, "auser"):
        await request.auser()
    else:  # Django 4.2
        await sync_to_async(bool)(request.user)
    order = await Order.objects.aget(pk=pk)
    order.status = "paid"
    await order.asave()
    log("order", object={"kind": "order", "id": str(pk)})
    return HttpResponse("paid")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"x"

    return StreamingHttpResponse(parts())


def broken(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [
    path("orders/<int:pk>/pay/", pay),
    path("async/<int:pk>/", pay_async),
    path("stream/", stream),
    path("broken/", broken),
]
