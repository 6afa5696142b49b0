"""The doctor: finds what makes a PostgreSQL slow, proves the cure, applies it without blocking anyone.

It works on any PostgreSQL 15 or later, with what that server has: `Target` says what that is. It reads only, unless it is told
to act. What must be tried is tried on a `Scratch` copy. What it sees is a `Finding`: evidence, and a cure.
"""

from milepost.doctor.finding import SEVERITIES, Cure, Finding, Severity
from milepost.doctor.scratch import Scratch
from milepost.doctor.target import Target

__all__ = ["SEVERITIES", "Cure", "Finding", "Scratch", "Severity", "Target"]
