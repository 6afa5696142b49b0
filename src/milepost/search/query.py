"""What is searched for: web-search syntax, read in each language that the model searches in.

    query = await read_query(conn, 'river "long loop" -rain or stream*', ("english", "simple"))

Words stand side by side where all must be there; `"…"` is a phrase, `-` excludes a word or phrase, `or` parts alternatives, and a `*`
at the end of the last word makes it the beginning of one. Each word or phrase is looked for in every language at once: a document
has it if one of its fields has it, in that field's language. One that is a stop word in any of them is passed over.

Raises `InvalidInput` with the pointer `/q`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from milepost.errors import FieldError, InvalidInput
from milepost.limits import SEARCH_CHARACTERS_MAX, SEARCH_WORDS_MAX
from milepost.postgres import Connection, load_queries

__all__ = ["Query", "read_query"]

_queries = load_queries(__package__, "query.sql")

UNIT = re.compile(r'(?P<excluded>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
LAST_WORD = re.compile(r"([^\W_]+)\*\s*$")
# Stands for the last word's beginning while it is read: digits keep it from being stemmed, and from being anybody's word.
BEGINNING = "q0beginning0q"
# A tsquery as text: lexemes in quotes (quotes and backslashes doubled), the distance between words, other operators.
TOKEN = re.compile(r"'(?P<lexeme>(?:[^'\\]|''|\\\\)*)'(?P<mark>:\*)?|(?P<distance><(?:-|\d+)>)|[^'<]+")


@dataclass(frozen=True, kw_only=True)
class Query:
    """text: a tsquery. pieces: what of it must be there, as a tsquery's text cut where each word's tenant and bucket belong; None:
    nothing must. by_configuration: the words as each language has them, for showing where they were found.
    """

    text: str
    pieces: tuple[str, ...] | None
    by_configuration: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Unit:
    text: str
    excluded: bool


async def read_query(conn: Connection, asked: str, configurations: Sequence[str]) -> Query:
    if len(asked) > SEARCH_CHARACTERS_MAX:
        raise _wrong(f"is longer than {SEARCH_CHARACTERS_MAX} characters")
    if "\0" in asked:
        raise _wrong("holds a null character, which no text does")
    last = LAST_WORD.search(asked)
    alternatives = _alternatives(asked[: last.start()] + BEGINNING if last else asked)
    units = [unit for alternative in alternatives for unit in alternative]
    values = {
        "units": [unit.text for unit in units], "configurations": list(configurations), "last": last[1] if last else "",
    }  # fmt: skip
    rows = await (await conn.execute(_queries.read, values)).fetchall()
    read: dict[tuple[int, str], str] = {}
    for number, configuration, text, beginning in rows:
        read[number - 1, configuration] = _with_beginning(text, beginning, last[1].lower() if last else "")
    if sum(text.count("'") // 2 for text in read.values()) > SEARCH_WORDS_MAX * len(configurations):
        raise _wrong(f"asks for more than {SEARCH_WORDS_MAX} words")
    return _combined(alternatives, read, configurations)


def _alternatives(asked: str) -> list[list[Unit]]:
    found: list[list[Unit]] = [[]]
    for match in UNIT.finditer(asked):
        if match["word"] is not None and not match["excluded"] and match["word"].lower() == "or":
            found.append([])
            continue
        text = match["word"] if match["phrase"] is None else f'"{match["phrase"]}"'
        found[-1].append(Unit(text=text, excluded=bool(match["excluded"])))
    return [units for units in found if units]


def _with_beginning(text: str, lexeme: str | None, word: str) -> str:
    """The stand-in's lexemes become those that begin with the last word (in a compound, as it was written)."""

    def replaced(match: re.Match[str]) -> str:
        before = match[1]
        return f"'{before}{word if before else lexeme or word}':*"

    return re.sub(rf"'((?:[^'\\]|''|\\\\)*){BEGINNING}'", replaced, text)


def _combined(alternatives: list[list[Unit]], read: dict[tuple[int, str], str], configurations: Sequence[str]) -> Query:
    number = 0
    whole: list[str] = []
    required: list[str] | None = []
    shown: dict[str, list[str]] = {configuration: [] for configuration in configurations}
    for units in alternatives:
        all_of, must = [], []
        for unit in units:
            texts = [read[number, configuration] for configuration in configurations]
            number += 1
            if not all(texts):
                continue  # a stop word in one of the languages, or nothing that is a word
            text = " | ".join(f"({one})" for one in dict.fromkeys(texts))
            all_of.append(f"!({text})" if unit.excluded else f"({text})")
            if not unit.excluded:
                must.append(f"({text})")
                for configuration, one in zip(configurations, texts, strict=True):
                    shown[configuration].append(one)
        if all_of:
            whole.append(" & ".join(all_of))
            required = None if required is None or not must else [*required, " & ".join(must)]
    if not whole:
        raise _wrong("has no word to search for: what every text has is passed over")
    pieces = None if required is None else tuple(_pieces(" | ".join(f"({one})" for one in required)))
    by_configuration = {name: " | ".join(f"({one})" for one in texts) for name, texts in shown.items()}
    return Query(text=" | ".join(f"({one})" for one in whole), pieces=pieces, by_configuration=by_configuration)


def _pieces(text: str) -> Iterator[str]:
    """Cut after each opening quote. The keys know no places, so of a phrase they ask for its words alone."""
    piece = ""
    for token in TOKEN.finditer(text):
        if token["lexeme"] is not None:
            yield piece + "'"
            piece = token[0][1:]
        else:
            piece += "&" if token["distance"] else token[0]
    yield piece


def _wrong(detail: str) -> InvalidInput:
    return InvalidInput(errors=(FieldError("/q", detail),))
