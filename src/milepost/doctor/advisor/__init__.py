"""Index advice for a whole workload: which indexes to make and which to drop, under a budget of bytes, with proof.

A `Workload` (statements with how often they run) is planned on a `PlanningCopy`: the target's schema, sizes and statistics in a
server of our own, with no rows, where an index costs nothing to make and one statement to hide. `candidates` says which indexes
might help, `choose` which of them do; `prove` builds those on a copy with rows and measures; `apply` builds them on the target
and keeps what helps there. Each is told in `docs/doctor-indexes.md`.
"""

from milepost.doctor.advisor.advice import Advice, advise
from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.planning import PlanningCopy
from milepost.doctor.advisor.workload import Statement, Workload, read_statements, read_target

__all__ = ["Advice", "Index", "PlanningCopy", "Statement", "Workload", "advise", "read_statements", "read_target"]
