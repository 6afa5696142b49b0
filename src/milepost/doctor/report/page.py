"""The report as one HTML page that needs nothing else: no script, no font, no address; plots are SVG.

Every text from the database is escaped: names of tables and statements are other people's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from milepost.doctor.checks.check import said_bytes, said_s
from milepost.doctor.finding import SEVERITIES
from milepost.doctor.report.answer import Answer, FindingAnswer
from milepost.doctor.report.plots import bars, line, ring

__all__ = ["page_of"]

LARGEST_MAX = 12  # objects in the plot of sizes


def page_of(answer: Answer, *, scores: Sequence[tuple[float, float]] = ()) -> str:
    """scores: (seconds since 1970, score) of earlier looks, oldest first."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    body = "\n".join(_body(answer, scores))
    title = escape(f"{answer.database}: {answer.score} of 100")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{style}</style></head>\n'
        f"<body><main>{body}</main></body></html>\n"
    )


def _body(answer: Answer, scores: Sequence[tuple[float, float]]) -> Iterator[str]:
    yield f'<header>{ring(answer.score)}<div><h1>{escape(answer.database)}</h1><p class="facts">'
    yield escape(
        f"PostgreSQL {answer.postgres // 10_000} · {said_bytes(answer.database_bytes)} · {answer.at:%Y-%m-%d %H:%M} UTC · "
        f"counters of {said_s(answer.counted_s)} · {sum(check.left_out is None for check in answer.checks)} of {len(answer.checks)} "
        f"checks in {answer.seconds:.1f} s"
    )
    counts = [(one, sum(finding.severity == one for finding in answer.findings)) for one in SEVERITIES]
    chips = "".join(f'<span class="chip {one}">{count} {one}</span>' for one, count in counts if count)
    yield f"</p><p>{chips or 'Nothing to cure.'}</p></div></header>"
    yield '<div class="plots">'
    if answer.score_shares:
        yield "<figure><figcaption>What the score is made of (points)</figcaption>"
        yield bars([(share.check, share.points, share.said) for share in answer.score_shares]) + "</figure>"
    weights = {
        one.object: _bytes(one) for one in answer.findings if _bytes(one)
    }  # an object once, though two checks may find it
    sizes = sorted(((size, name) for name, size in weights.items()), reverse=True)[:LARGEST_MAX]
    if sizes:
        yield "<figure><figcaption>What findings weigh</figcaption>"
        yield bars([(name, size, said_bytes(size)) for size, name in sizes]) + "</figure>"
    if len(scores) > 1:
        yield f"<figure><figcaption>Score over time</figcaption>{line(scores, low=0, high=100)}</figure>"
    yield "</div>"
    for finding in answer.findings:
        yield _finding(finding)
    if answer.cured:
        yield f"<h2>Cured since the last look</h2><p>{', '.join(f'<code>{escape(one)}</code>' for one in answer.cured)}</p>"
    yield "<h2>Checks</h2><table><tr><th>check</th><th>area</th><th>findings</th><th>time</th><th></th></tr>"
    for check in answer.checks:
        yield (
            f'<tr class="{"dim" if check.left_out else ""}"><td title="{escape(check.title)}">{escape(check.name)}</td>'
            f"<td>{check.area}</td><td>{check.findings or ''}</td><td>{check.seconds * 1000:.0f} ms</td>"
            f"<td>{escape(check.left_out or '')}</td></tr>"
        )
    yield "</table>"


def _finding(finding: FindingAnswer) -> str:
    state = f'<span class="state">{escape(finding.state)}</span>' if finding.state else ""
    evidence = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in finding.evidence.items())
    statements = "\n".join(f"{statement};" for statement in finding.cure.statements)
    sql = f"<pre>{escape(statements)}</pre>" if statements else ""
    return (
        f'<section class="{finding.severity}" id="{escape(finding.id)}"><h3>{escape(finding.object)} '
        f"<small>{escape(finding.check)}</small>{state}</h3><p>{escape(finding.detail)}</p>"
        f'<p class="cure">{escape(finding.cure.text)}</p>{sql}<p class="facts">{escape(finding.how)}</p>'
        f"<details><summary>Evidence</summary><dl>{evidence}</dl></details></section>"
    )


def _bytes(finding: FindingAnswer) -> float:
    """What it weighs: wasted bytes if it says so."""
    for name in ("wasted_bytes", "bytes", "table_bytes", "retained_bytes"):
        if isinstance(value := finding.evidence.get(name), (int, float)):
            return value
    return 0
