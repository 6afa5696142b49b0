"""Plots as SVG text: a score's ring, bars, a line over time. Colours come from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import pi

__all__ = ["bars", "line", "ring"]

WIDTH = 560
ROW = 24
NAME = 250  # pixels for names, beside bars
LETTERS_MAX = 36  # that fit there


def ring(score: int) -> str:
    """A circle that is full at 100."""
    around = 2 * pi * 42
    level = "good" if score >= 90 else "fair" if score >= 70 else "poor"
    return (
        f'<svg class="ring {level}" viewBox="0 0 100 100" width="110" height="110" role="img" aria-label="score {score} of 100">'
        f'<circle cx="50" cy="50" r="42" class="track"/><circle cx="50" cy="50" r="42" class="part" '
        f'stroke-dasharray="{around * score / 100:.1f} {around:.1f}" transform="rotate(-90 50 50)"/>'
        f'<text x="50" y="59" text-anchor="middle">{score}</text></svg>'
    )


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """rows: name, value, what is said of it."""
    largest = max((value for _, value, _ in rows), default=0) or 1
    parts = []
    for place, (name, value, said) in enumerate(rows):
        shown = name if len(name) <= LETTERS_MAX else f"…{name[-LETTERS_MAX + 1 :]}"
        length = max(2.0, (WIDTH - NAME - 90) * value / largest)
        y = place * ROW
        label = said if len(said) <= 10 else f"{value:g}"
        parts.append(
            f'<g><title>{escape(f"{name}: {said}")}</title><text x="{NAME - 8}" y="{y + 16}" text-anchor="end">{escape(shown)}</text>'
            f'<rect x="{NAME}" y="{y + 4}" width="{length:.1f}" height="{ROW - 8}" rx="2"/>'
            f'<text x="{NAME + length + 6:.1f}" y="{y + 16}" class="said">{escape(label)}</text></g>'
        )
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {len(rows) * ROW}" role="img">{"".join(parts)}</svg>'


def line(
    points: Sequence[tuple[float, float]], *, low: float | None = None, high: float | None = None, height: int = 140
) -> str:
    """points: (x, y) in order of x. low, high: of the axis; the points' own otherwise."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    bottom, top = min(ys) if low is None else low, max(ys) if high is None else high
    across, up = (max(xs) - min(xs)) or 1, (top - bottom) or 1
    path = " ".join(f"{(x - min(xs)) / across * WIDTH:.1f},{height - (y - bottom) / up * height:.1f}" for x, y in points)
    return (
        f'<svg class="line" viewBox="-40 -8 {WIDTH + 50} {height + 16}" role="img"><line x1="0" y1="{height}" x2="{WIDTH}" y2="{height}"/>'
        f'<text x="-6" y="8" text-anchor="end">{top:g}</text><text x="-6" y="{height}" text-anchor="end">{bottom:g}</text>'
        f'<polyline points="{path}"/></svg>'
    )
