"""Promises of findings, and what came of them: kept in the database whose cures they were, so that later ones are corrected by them.

A finding promises: the planner or a proof says how much faster statements will be, or how small something will be. A rollout that applies its
cure (`milepost rollout run --finding`) measures the same before and after, statements beside control statements, and writes both down next to its
journal. A correction is what was off so far, held back as long as little is known. Nothing is measured where nothing was promised.
"""

from milepost.doctor.promises.correct import Correction, corrections, expecting
from milepost.doctor.promises.measure import Kept, begin, finish, kept
from milepost.doctor.promises.promise import Promise, promises_of
from milepost.doctor.promises.verdict import Verdict, judge

__all__ = [
    "Correction",
    "Kept",
    "Promise",
    "Verdict",
    "begin",
    "corrections",
    "expecting",
    "finish",
    "judge",
    "kept",
    "promises_of",
]
