"""What a report must be asked about, because it is not answered about everybody at once."""

from __future__ import annotations

from milepost.model import MEMBERS, Model, Report, read_report_value

__all__ = ["OF_GROUPS", "adds_groups_up", "subjects_of"]

OF_GROUPS = frozenset({"members", "engagement"})  # values that tell of a group's members


def subjects_of(model: Model, report: Report) -> tuple[str, ...]:
    """The parameters of which one must be given; none: the report can be asked about all. With parts it is what will do for each."""
    wanted = [found for part in report.parts if (found := subjects_of(model, model.reports[part]))]
    if wanted:
        return tuple(name for name in wanted[0] if all(name in one for one in wanted))
    if report.source in (*model.pending, MEMBERS):  # else it would go through all members of a tenant
        return ("group", "actor", "within")
    if report.source in model.rollups and "group" not in report.by:
        functions = {read_report_value(text).function for text in report.values}
        if functions & OF_GROUPS or adds_groups_up(model, report):
            return ("group",)
    return ()


def adds_groups_up(model: Model, report: Report) -> bool:
    """Whether rows of several groups, added up, would count an activity more than once: what happens in a group counts for those above it,
    too, and by membership for each team of who is in several. Groups of one kind are never above each other.
    """
    if "group" in report.by or report.kind is not None:
        return False
    rollup = model.rollups.get(report.source)
    if rollup is None:
        return report.source in model.pairs
    return "group" in rollup.by and (rollup.ancestors or rollup.belongs == "membership")
