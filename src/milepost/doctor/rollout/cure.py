"""The cure of a finding as a change: what `milepost rollout run --finding ID` does.

A finding is looked for anew, by its own check alone, so that what has been cured meanwhile is not cured twice; or it is read from a report
(`milepost doctor check`, `indexes`, `triggers` or `explain` with `--json`), where looking anew would take a workload or a measurement.
A change that is under way for the same findings goes on, though they may no longer be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from milepost.doctor.checks import CHECKS
from milepost.doctor.examine import examine
from milepost.doctor.promises import Promise, promises_of
from milepost.doctor.rollout.file import Change
from milepost.doctor.rollout.journal import standing
from milepost.doctor.target import Target
from milepost.errors import Conflict, InvalidInput, NotFound

__all__ = ["change_curing"]


class _Cure(msgspec.Struct, frozen=True, kw_only=True):
    operation: dict[str, Any] | None
    by_hand: str = ""


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cure: _Cure
    evidence: dict[str, Any]


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """What all reports have, and of index advice the statements by name; the rest is not read."""

    findings: tuple[_Seen, ...]
    workload: dict[str, str] = msgspec.field(default_factory=dict)


async def change_curing(
    target: Target, ids: Sequence[str], *, report: Path | None = None, limits: Mapping[str, float] | None = None
) -> Change:
    """Named by the findings. limits: as of `examine`. Raises `NotFound` for a finding that there is not, or no longer; `Conflict`, with
    the reason, for one that no rollout cures; `InvalidInput` for an id of no check.
    """
    name = " ".join(ids)
    async with target.reading() as connection:
        under_way = await standing(connection)
    if under_way is not None and not under_way.ended and under_way.name == name:
        return Change.of(name, [entry.operation for entry in under_way.operations])
    found = await _examined(target, ids, limits or {}) if report is None else _reported(report)
    seen = {one.id: one for one in found.findings}
    operations: list[Mapping[str, Any]] = []
    promises: list[Promise] = []
    for one in ids:
        if one not in seen:
            raise NotFound(f"There is no finding {one} here{' now' if report is None else f' in {report}'}.", finding=one)
        cure = seen[one].cure
        if cure.operation is None:
            raise Conflict(f"No rollout cures {one}: {cure.by_hand}", finding=one)
        operations.append(cure.operation)
        promises += promises_of(one, seen[one].evidence, cure.operation, found.workload)
    return Change.of(name, operations, promises)


async def _examined(target: Target, ids: Sequence[str], limits: Mapping[str, float]) -> _Report:
    wanted = {one.rpartition("-")[0] for one in ids}
    if unknown := wanted - {check.name for check in CHECKS}:
        raise InvalidInput(
            f"There is no check {', '.join(sorted(unknown))}: a finding of another command is read from its --json, by --report FILE."
        )
    checks = [check for check in CHECKS if check.name in wanted]
    given = {name: value for name, value in limits.items() if name.partition(".")[0] in wanted}
    found = await examine(target, checks=checks, limits=given)
    if left_out := [ran for ran in found.ran if ran.left_out]:
        raise Conflict(f"{left_out[0].check} cannot be looked for: {left_out[0].left_out}.")
    return msgspec.convert({"findings": [{"id": one.id, **asdict(one)} for one in found.findings]}, _Report)


def _reported(file: Path) -> _Report:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Report)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{file} is no report of the doctor: {error}.") from error
