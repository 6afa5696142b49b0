"""Triggers: which there are, what each costs a write, and what could take its place."""

from milepost.doctor.triggers.body import Body, read_body
from milepost.doctor.triggers.inventory import Trigger, read_triggers
from milepost.doctor.triggers.measure import Cost
from milepost.doctor.triggers.measured import measure_all
from milepost.doctor.triggers.verdict import Verdict, judge

__all__ = ["Body", "Cost", "Trigger", "Verdict", "judge", "measure_all", "read_body", "read_triggers"]
