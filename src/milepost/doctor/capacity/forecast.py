"""Forecasts from kept history: the method that would have been right so far, with the error it would have made.

Three simple methods are tried on the past: it stays as it is, it grows by its median slope (Theil and Sen, 1968: one jump, such as a bulk
load or a cleanup, does not bend it), and it grows by the slope of its last third. Each sees the first two thirds and must foretell the
rest; the one with the least error is used, and its error is told. Fewer than `POINTS_MIN` looks, or a shorter time than `SPAN_S_MIN`,
give no forecast: nothing is foretold from noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milepost.doctor.history.look import Look

__all__ = ["Forecast", "forecasts_of"]

POINTS_MIN: Final = 6
SPAN_S_MIN: Final = 3600.0
POINTS_MAX: Final = 300  # slopes are taken of all pairs
FAR: Final = timedelta(days=3650)  # past which nothing is said

Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """size, bound: in the unit of the name. per_day: growth. error_part: of what was foretold of the past, relative to its sizes.
    full_at: when the bound is reached; None if never, past ten years, or without a bound.
    """

    name: str
    size: float
    bound: float | None
    per_day: float
    method: str
    error_part: float
    full_at: datetime | None


def forecasts_of(looks: Sequence[Look]) -> list[Forecast]:
    """looks: oldest first. What runs out first stands first, then what grows fastest for its size."""
    made = [one for name in (looks[-1].sizes if looks else ()) if (one := _forecast(name, looks)) is not None]
    return sorted(made, key=lambda one: (one.full_at is None, one.full_at or looks[-1].at, -one.per_day / max(one.size, 1.0)))


def _forecast(name: str, looks: Sequence[Look]) -> Forecast | None:
    kept = [look for look in looks if name in look.sizes]
    kept = kept[:: max(1, len(kept) // POINTS_MAX)] + ([kept[-1]] if len(kept) > POINTS_MAX else [])
    at = np.array([look.at.timestamp() for look in kept])
    sizes = np.array([look.sizes[name] for look in kept])
    if len(at) < POINTS_MIN or at[-1] - at[0] < SPAN_S_MIN:
        return None
    seen = len(at) * 2 // 3
    errors = {method: _error(slope, at, sizes, seen) for method, slope in METHODS.items()}
    method = min(errors, key=lambda one: errors[one])
    slope = METHODS[method](at, sizes)
    bound = looks[-1].limits.get(name)
    full_at = None
    if bound is not None and slope > 0:
        left = timedelta(seconds=min(max(0.0, (bound - sizes[-1]) / slope), FAR.total_seconds()))
        full_at = looks[-1].at + left if left < FAR else None
    return Forecast(
        name=name,
        size=float(sizes[-1]),
        bound=bound,
        per_day=float(slope) * 86_400,
        method=method,
        error_part=errors[method],
        full_at=full_at,
    )


def _error(slope: Callable[[Points, Points], float], at: Points, sizes: Points, seen: int) -> float:
    """The median of what it would have been wrong by, in parts of the true size."""
    foretold = sizes[seen - 1] + slope(at[:seen], sizes[:seen]) * (at[seen:] - at[seen - 1])
    return float(np.median(np.abs(foretold - sizes[seen:]) / np.maximum(np.abs(sizes[seen:]), 1.0)))


def _median_slope(at: Points, sizes: Points) -> float:
    first, second = np.triu_indices(len(at), k=1)
    apart = at[second] - at[first]
    slopes = (sizes[second] - sizes[first])[apart > 0] / apart[apart > 0]
    return float(np.median(slopes)) if len(slopes) else 0.0


def _recent_slope(at: Points, sizes: Points) -> float:
    tail = max(3, len(at) // 3)
    return _median_slope(at[-tail:], sizes[-tail:])


METHODS: Final[dict[str, Callable[[Points, Points], float]]] = {
    "stays": lambda at, sizes: 0.0,
    "median slope": _median_slope,
    "recent slope": _recent_slope,
}
