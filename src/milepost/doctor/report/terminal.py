"""The report for a person at a terminal: the score and its sum, then each finding with its evidence and its cure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from milepost.doctor.checks.check import said_bytes, said_s
from milepost.doctor.report.answer import Answer, FindingAnswer

__all__ = ["print_answer"]

COLOURS = {"critical": "bold red", "warning": "yellow", "notice": "cyan"}
GOOD, FAIR = 90, 70


def print_answer(answer: Answer, console: Console | None = None) -> None:
    (console or Console(highlight=False, soft_wrap=False)).print(Group(*_lines(answer)))


def _lines(answer: Answer) -> Iterator[RenderableType]:
    colour = "green" if answer.score >= GOOD else "yellow" if answer.score >= FAIR else "red"
    yield Text.assemble((f"{answer.score}", f"bold {colour}"), " of 100  ", (answer.database, "bold"))
    ran = [check for check in answer.checks if check.left_out is None]
    yield Text(
        f"PostgreSQL {answer.postgres // 10_000}, {said_bytes(answer.database_bytes)}, counters of {said_s(answer.counted_s)}; "
        f"{len(ran)} of {len(answer.checks)} checks in {answer.seconds:.1f} s",
        style="dim",
    )
    for share in answer.score_shares:
        yield Text.assemble((f"  −{share.points:<3}", "bold"), f"{share.check}  ", (share.said, "dim"))
    for finding in answer.findings:
        yield from _finding(finding)
    if not answer.findings:
        yield Text("\nNothing to cure.")
    if answer.cured:
        yield Text(f"\nCured since the last look: {', '.join(answer.cured)}", style="green")
    left_out = [check for check in answer.checks if check.left_out is not None]
    if left_out:
        yield Text("\nLeft out", style="bold")
        for check in left_out:
            yield Text(f"  {check.name}: {check.left_out}", style="dim")


def _finding(finding: FindingAnswer) -> Iterator[RenderableType]:
    state = f"  {finding.state}" if finding.state else ""
    yield Text.assemble(
        "\n",
        (f"{finding.severity:<8}", COLOURS[finding.severity]),
        "  ",
        (finding.object, "bold"),
        (f"  {finding.check}{state}", "dim"),
    )
    yield Padding(Text(finding.detail), (0, 0, 0, 2), expand=False)
    yield Padding(Text.assemble(("→ ", "green"), finding.cure.text), (0, 0, 0, 2), expand=False)
    for statement in finding.cure.statements:
        yield Padding(Text(f"{statement};", style="green"), (0, 0, 0, 4), expand=False)
    yield Padding(Text(finding.how, style="dim"), (0, 0, 0, 4), expand=False)
