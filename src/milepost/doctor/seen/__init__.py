"""Statements that are seen at work, where nobody counts them: on a database without pg_stat_statements.

Two sources. `sampled` looks at pg_stat_activity again and again: what is found at work in one look of ten takes a tenth of the time. `logged`
reads a server's log: statements over `log_min_duration_statement`, plans of auto_explain. `found` folds both by statement, has the few that take
most explained, and makes findings of them, with the cures of their plans.
"""

from milepost.doctor.seen.findings import found
from milepost.doctor.seen.folded import Folded, folded
from milepost.doctor.seen.log import logged
from milepost.doctor.seen.sample import sampled
from milepost.doctor.seen.sighting import Seen, Sighting

__all__ = ["Folded", "Seen", "Sighting", "folded", "found", "logged", "sampled"]
