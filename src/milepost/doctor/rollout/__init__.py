"""Rollout: changes a database that is in use, without a request that fails or waits longer than a lock timeout.

A change is a list of operations (`operations/`, one kind a file), read from a file or from a finding's cure. Each is validated, started
(all that can be taken back), completed (what cannot), or rolled back. `Rollout` runs them and keeps a journal in the database, so that
a run that was killed goes on where it was; one runs at a time.

It fails in one of three ways. An operation that cannot be done is rolled back, with those before it, and the error says why. A
connection that is lost leaves the journal as it is: run again. What is not valid is refused before anything is touched.
"""

from milepost.doctor.rollout.cure import change_curing
from milepost.doctor.rollout.file import Change, read_change
from milepost.doctor.rollout.journal import Standing, standing
from milepost.doctor.rollout.run import Outcome, Rollout
from milepost.doctor.rollout.waits import Waits

__all__ = ["Change", "Outcome", "Rollout", "Standing", "Waits", "change_curing", "read_change", "standing"]
