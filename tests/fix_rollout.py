"""`shop`: a fresh database with customers and orders, for rollouts."""

from __future__ import annotations

import pytest

from busy_shop import SCHEMA, Shop
from milepost.doctor import Target

__all__ = ["shop"]


@pytest.fixture
async def shop(database_url: str) -> Shop:
    target = await Target.open(database_url)
    async with target.writing() as connection:
        await connection.execute(SCHEMA.encode())
    return Shop(database_url, target)
