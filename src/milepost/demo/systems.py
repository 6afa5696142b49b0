"""The four samples by name."""

from __future__ import annotations

from datetime import datetime

from milepost.demo.audit import Audit
from milepost.demo.classroom import Classroom
from milepost.demo.fitness import Fitness
from milepost.demo.research import Research
from milepost.demo.sample import Sample

__all__ = ["SIZES", "sample_of"]

CLASSES: dict[str, type[Sample]] = {"fitness": Fitness, "research": Research, "classroom": Classroom, "audit": Audit}

# Activities, unless told otherwise: what loads in about ten seconds.
SIZES = {"fitness": 60_000, "research": 40_000, "classroom": 30_000, "audit": 60_000}


def sample_of(system: str, *, anchor: datetime, size: int) -> Sample:
    return CLASSES[system](anchor=anchor, size=size)
