"""The report as Markdown, for a ticket or a wiki: the score, a table of findings, then each with its evidence and its cure."""

from __future__ import annotations

from collections.abc import Iterator

from milepost.doctor.checks.check import said_bytes, said_s
from milepost.doctor.report.answer import Answer, FindingAnswer

__all__ = ["markdown_of"]


def markdown_of(answer: Answer) -> str:
    return "\n".join(_lines(answer)) + "\n"


def _lines(answer: Answer) -> Iterator[str]:
    yield f"# {answer.database}: {answer.score} of 100\n"
    yield (
        f"PostgreSQL {answer.postgres // 10_000}, {said_bytes(answer.database_bytes)}, looked at on {answer.at:%Y-%m-%d %H:%M} UTC, "
        f"counters of {said_s(answer.counted_s)}.\n"
    )
    if answer.score_shares:
        yield "| check | points | sum |\n|---|---|---|"
        yield from (f"| {share.check} | −{share.points} | {share.said} |" for share in answer.score_shares)
        yield ""
    if not answer.findings:
        yield "Nothing to cure."
    for finding in answer.findings:
        yield from _finding(finding)
    left_out = [check for check in answer.checks if check.left_out is not None]
    if left_out:
        yield "## Left out\n"
        yield from (f"- `{check.name}`: {check.left_out}" for check in left_out)


def _finding(finding: FindingAnswer) -> Iterator[str]:
    yield f"## {finding.severity}: `{finding.object}`\n"
    state = f", {finding.state}" if finding.state else ""
    yield f"{finding.detail} (`{finding.check}`{state})\n"
    if finding.evidence:
        yield from (f"- {name}: {value}" for name, value in finding.evidence.items())
        yield ""
    yield f"**Cure.** {finding.cure.text}\n"
    yield f"{finding.cure.by_hand or f'`{finding.how}`'}\n"
    if finding.cure.statements:
        yield "```sql\n" + "\n".join(f"{statement};" for statement in finding.cure.statements) + "\n```\n"
