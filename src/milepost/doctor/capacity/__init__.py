"""Capacity: what grows, how fast, and what runs out first, by the history that was kept."""

from milepost.doctor.capacity.forecast import Forecast, forecasts_of
from milepost.doctor.capacity.sizes import sizes_of

__all__ = ["Forecast", "forecasts_of", "sizes_of"]
