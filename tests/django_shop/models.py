"""Rows that are watched, in each of the ways in which one can register them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from milepost.integrations.django import milepost_audited, register


class Tag(models.Model):
    name = models.CharField(max_length=20)


@milepost_audited(exclude=["internal"], mask=["iban"], group=lambda order: order.team or None)
class Order(models.Model):
    status = models.CharField(max_length=20, default="new")
    total = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    stock = models.IntegerField(default=10)
    team = models.CharField(max_length=20, default="", blank=True)
    note = models.TextField(default="", blank=True)
    iban = models.CharField(max_length=40, default="", blank=True)
    access_token = models.CharField(max_length=40, default="", blank=True)
    details: Any = models.JSONField(default=dict, blank=True)
    paper = models.FileField(blank=True)
    blob = models.BinaryField(null=True)
    internal = models.IntegerField(default=0)
    made_at = models.DateTimeField(auto_now_add=True)
    tags: Any = models.ManyToManyField(Tag, related_name="orders")


class UrgentOrder(Order):
    class Meta:
        proxy = True


class Line(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    text = models.CharField(max_length=20)
    day = models.DateField(null=True)


class Unwatched(models.Model):
    text = models.CharField(max_length=20)


register(Line, fields=["order", "text"], verb={"created": "add", "deleted": "remove"}, kind="line", time="day")
