"""Lint: what a file of SQL would do to those who use the database, found by doing it on an empty clone.

Nothing is claimed from the text of a statement: each is executed on a scratch copy of the target's schema, of the same major version, and
what it locks is read from `pg_locks`, what it rewrites and scans from the catalogue and the statistics of its transaction. The target is
only read. `measure` says what happened, `judge` what that means and which operation of `milepost rollout` does it without harm.
"""

from milepost.doctor.rollout.lint.judge import Problem, judged
from milepost.doctor.rollout.lint.measure import Measured, measured

__all__ = ["Measured", "Problem", "judged", "measured"]
