"""The report for a person at a terminal: the score and its sum, then each finding with its evidence and its cure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group
from rich.text import Text

from milepost.doctor.checks.check import said_bytes, said_s
from milepost.doctor.report.answer import Answer, FindingAnswer

__all__ = ["print_answer"]

COLOURS = {"critical": "bold red", "warning": "yellow", "notice": "cyan"}
GOOD, FAIR = 90, 70


def print_answer(answer: Answer, console: Console | None = None) -> None:
    (console or Console(highlight=False, soft_wrap=False)).print(
        Group(*(_Lines(indent, text) for indent, text in _told(answer)))
    )


def _told(answer: Answer) -> Iterator[tuple[int, Text]]:
    """Each with its indent."""
    colour = "green" if answer.score >= GOOD else "yellow" if answer.score >= FAIR else "red"
    yield 0, Text.assemble((f"{answer.score}", f"bold {colour}"), " of 100  ", (answer.database, "bold"))
    ran = [check for check in answer.checks if check.left_out is None]
    counted = Text(
        f"PostgreSQL {answer.postgres // 10_000}, {said_bytes(answer.database_bytes)}, counters of {said_s(answer.counted_s)}; "
        f"{len(ran)} of {len(answer.checks)} checks in {answer.seconds:.1f} s",
        style="dim",
    )
    yield 0, counted
    for share in answer.score_shares:
        yield 0, Text.assemble((f"  −{share.points:<3}", "bold"), f"{share.check}  ", (share.said, "dim"))
    for finding in answer.findings:
        yield from _finding(finding)
    if not answer.findings:
        yield 0, Text("\nNothing to cure.")
    if answer.cured:
        yield 0, Text(f"\nCured since the last look: {', '.join(answer.cured)}", style="green")
    left_out = [check for check in answer.checks if check.left_out is not None]
    if left_out:
        yield 0, Text("\nLeft out", style="bold")
        for check in left_out:
            yield 0, Text(f"  {check.name}: {check.left_out}", style="dim")


def _finding(finding: FindingAnswer) -> Iterator[tuple[int, Text]]:
    state = f"  {finding.state}" if finding.state else ""
    title = Text.assemble(
        "\n",
        (f"{finding.severity:<8}", COLOURS[finding.severity]),
        "  ",
        (finding.object, "bold"),
        (f"  {finding.check}{state}", "dim"),
    )
    yield 0, title
    yield 2, Text(finding.detail)
    yield 2, Text.assemble(("→ ", "green"), finding.cure.text)
    for statement in finding.cure.statements:
        yield 4, Text(f"{statement};", style="green")
    yield 4, Text(finding.how, style="dim")


@dataclass(frozen=True)
class _Lines:
    """A text as wide as there is room. Rich's own padding and wrapping leave spaces at the ends of lines, which a file or a mail keeps."""

    indent: int
    text: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for line in self.text.wrap(console, max(1, options.max_width - self.indent)):
            line.rstrip()
            yield Text.assemble(" " * self.indent, line)
