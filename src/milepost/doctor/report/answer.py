"""The report as data: what `--json` prints, whose schema is published as `docs/doctor-report.schema.json`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from milepost.doctor.checks import CHECKS
from milepost.doctor.examine import Examination
from milepost.doctor.finding import Cure, Finding, Severity

__all__ = ["Answer", "answer_of", "schema"]


class CureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """text: one sentence. statements: SQL, each to be run outside a transaction. operation: of `milepost rollout`, or null; then
    by_hand says why there is none.
    """

    text: str
    statements: tuple[str, ...]
    operation: dict[str, Any] | None
    by_hand: str


class FindingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """id: the same in every run. state: against the run before, where history is kept."""

    id: str
    check: str
    severity: Severity
    object: str
    detail: str
    evidence: dict[str, Any]
    cure: CureAnswer
    state: str | None = None

    @property
    def how(self) -> str:
        """The command that applies its cure, or why a person must."""
        return self.cure.by_hand or f"milepost rollout run --finding {self.id}"


class CheckAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """left_out: why it did not run; null if it did."""

    name: str
    area: str
    title: str
    findings: int
    seconds: float
    left_out: str | None


class ShareAnswer(msgspec.Struct, frozen=True, kw_only=True):
    check: str
    points: int
    said: str


class MachineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    memory_bytes: int | None
    cores: int | None
    disk: str
    source: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """score: 100 minus the points of `score_shares`. cured: ids of findings that the run before had, where history is kept."""

    score: int
    score_shares: tuple[ShareAnswer, ...]
    findings: tuple[FindingAnswer, ...]
    checks: tuple[CheckAnswer, ...]
    database: str
    database_bytes: int
    postgres: int
    machine: MachineAnswer
    counted_s: float
    at: datetime
    seconds: float
    cured: tuple[str, ...] = ()


def answer_of(seen: Examination, *, states: Mapping[str, str] | None = None, cured: tuple[str, ...] = ()) -> Answer:
    """states: finding's id → new, standing or come back."""
    score = seen.score
    of = {check.name: check for check in CHECKS}
    return Answer(
        score=score.value,
        score_shares=tuple(ShareAnswer(check=one.check, points=one.points, said=one.said) for one in score.shares),
        findings=tuple(_finding(one, (states or {}).get(one.id)) for one in seen.findings),
        checks=tuple(
            CheckAnswer(
                name=ran.check,
                area=of[ran.check].area,
                title=of[ran.check].title,
                findings=ran.findings,
                seconds=round(ran.seconds, 4),
                left_out=ran.left_out or None,
            )
            for ran in seen.ran
        ),
        database=seen.target.dbname,
        database_bytes=seen.facts["database_bytes"],
        postgres=seen.target.version,
        machine=MachineAnswer(
            memory_bytes=seen.machine.memory_bytes, cores=seen.machine.cores, disk=seen.machine.disk, source=seen.machine.source
        ),
        counted_s=round(seen.facts["stats_age_s"], 1),
        at=seen.at,
        seconds=round(seen.seconds, 3),
        cured=cured,
    )


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of `Answer`."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Answer)}
    return msgspec.json.decode(msgspec.json.encode(made))  # type: ignore[no-any-return]  # lists where defaults are tuples


def _finding(one: Finding, state: str | None) -> FindingAnswer:
    return FindingAnswer(
        id=one.id,
        check=one.check,
        severity=one.severity,
        object=one.object,
        detail=one.detail,
        evidence=dict(one.evidence),
        cure=_cure(one.cure),
        state=state,
    )


def _cure(cure: Cure) -> CureAnswer:
    return CureAnswer(
        text=cure.text,
        statements=cure.statements,
        operation=None if cure.operation is None else dict(cure.operation),
        by_hand=cure.by_hand,
    )
