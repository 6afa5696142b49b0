"""Milepost: activities into exact feeds, rollups, goals and leaderboards on one PostgreSQL.

`pip install milepost` is the light part that an app imports; `milepost[server]` is the rest. The client is loaded when it is first
named, so that what needs nothing of it does not pay for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from milepost.client import AsyncMilepost, Milepost

__all__ = ["AsyncMilepost", "Milepost"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'milepost' has no attribute {name!r}")
    return getattr(import_module("milepost.client"), name)
