"""The values of a report: those of a rollup, and what only makes sense when it is read.

    count(status = failed)     share(verb = commit)     p90(seconds)     members     engagement
    weighted_avg(score, assign.weight) >= 40     my_studies.last_at

`read_report_value` reads one text, whatever the report is from; whether its source can answer it is for `_check_reports`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from milepost.model._phrases import Unreadable, read_value
from milepost.model._problems import nearest_word, quoted
from milepost.model._types import Value

__all__ = ["PERCENTILES", "WORDS", "ReportValue", "read_report_value"]

PERCENTILES: Final = {"p50": "0.5", "p75": "0.75", "p90": "0.9", "p95": "0.95", "p99": "0.99"}
# Values of one word that only reports have.
WORDS: Final = ("members", "engagement", "open", "overdue", "next_due", "role", "permissions", "since")

_PASSES = re.compile(r"([^()<>=]+(?:\(.*\))?)\s*(<=|>=|<|=|>)\s*(-?[0-9]{1,19}(?:\.[0-9]{1,19})?)", re.DOTALL)
_OF_KEY = re.compile(r"(count|share)\s*\(\s*([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)\s*=\s*([A-Za-z_][A-Za-z0-9_ .:/-]*?)\s*\)")
_PERCENTILE = re.compile(r"(p[0-9]{1,3})\s*\(\s*([a-z][a-z0-9_]*)\s*\)")
_LOOKED_UP = re.compile(r"([a-z][a-z0-9_]*)\.([a-z_]+\s*(?:\(.*\))?)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class ReportValue:
    """function: one of a rollup's, of `PERCENTILES`, or of `WORDS`. word: of `count(KEY = WORD)` and `share(KEY = WORD)`.
    rollup: whose row is looked up, of `ROLLUP.VALUE`. passes: the rule that the value is compared with, to true or false.
    """

    function: str
    arguments: tuple[str, ...] = ()
    comparison: str | None = None
    threshold: str | None = None  # decimal text
    word: str | None = None
    rollup: str | None = None
    passes: tuple[str, str] | None = None  # comparison, decimal text
    text: str

    @property
    def plain(self) -> str:
        """Its text without the rule and the rollup: how a rollup keeps it."""
        text = self.text if self.passes is None else self.text[: -len(f" {self.passes[0]} {self.passes[1]}")]
        return text if self.rollup is None else text.removeprefix(f"{self.rollup}.")


@lru_cache(maxsize=4096)
def read_report_value(text: str) -> ReportValue:
    """Raises `Unreadable`. The `text` of what it answers is written one way, whatever blanks were used."""
    text = text.strip()
    if (rule := _PASSES.fullmatch(text)) is not None:
        inner = read_report_value(rule[1])
        if inner.passes is None:
            return replace(inner, passes=(rule[2], rule[3]), text=f"{inner.text} {rule[2]} {rule[3]}")
    if (of_key := _OF_KEY.fullmatch(text)) is not None:
        function, key, word = of_key.groups()
        return ReportValue(function=function, arguments=(key,), word=word, text=f"{function}({key} = {word})")
    if (percentile := _PERCENTILE.fullmatch(text)) is not None:
        function, argument = percentile.groups()
        if function not in PERCENTILES:
            near = nearest_word(function, PERCENTILES)
            raise Unreadable(f"{quoted(function)} is not a percentile that is kept: {', '.join(PERCENTILES)}", near)
        return ReportValue(function=function, arguments=(argument,), text=f"{function}({argument})")
    if text in WORDS:
        return ReportValue(function=text, text=text)
    if (looked_up := _LOOKED_UP.fullmatch(text)) is not None:
        inner = read_report_value(looked_up[2])
        if inner.rollup is None and inner.word is None and inner.passes is None:
            return replace(inner, rollup=looked_up[1], text=f"{looked_up[1]}.{inner.text}")
    return of_value(read_value(text))


def of_value(value: Value) -> ReportValue:
    return ReportValue(
        function=value.function,
        arguments=value.arguments,
        comparison=value.comparison,
        threshold=value.threshold,
        text=value.text,
    )
