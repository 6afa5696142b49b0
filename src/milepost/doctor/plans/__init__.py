"""How one statement is run, and what is wrong with it: `explain` asks the server, `findings` reads the answer."""

from milepost.doctor.plans.explain import Explained, explain, statement_of
from milepost.doctor.plans.findings import findings
from milepost.doctor.plans.node import Plan, PlanNode

__all__ = ["Explained", "Plan", "PlanNode", "explain", "findings", "statement_of"]
