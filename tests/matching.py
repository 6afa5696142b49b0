"""What a search is to find, by a plain matcher: words of a note, compared one by one, in no language."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from milepost.model import Model
from truth import Activity

__all__ = ["SEARCHES", "WORDS", "words_searched"]

WORDS = ("red", "green", "blue", "greenish")

# q, and whether a note of these words is found by it.
SEARCHES: tuple[tuple[str, Callable[[list[str]], bool]], ...] = (
    ("red", lambda words: "red" in words),
    ("green blue", lambda words: {"green", "blue"} <= set(words)),
    ("red -blue", lambda words: "red" in words and "blue" not in words),
    ("-red", lambda words: "red" not in words),
    ('"red blue"', lambda words: ("red", "blue") in pairwise(words)),
    ('green -"red green"', lambda words: "green" in words and ("red", "green") not in pairwise(words)),
    ("red green or blue", lambda words: {"red", "green"} <= set(words) or "blue" in words),
    ("green*", lambda words: any(word.startswith("green") for word in words)),
    ("red gr*", lambda words: "red" in words and any(word.startswith("gr") for word in words)),
    ("yellow", lambda words: False),
)


def words_searched(model: Model, item: Activity) -> list[str]:
    """None for a verb that is not searched, which no search finds, whatever it excludes."""
    verb = model.verbs[item.verb]
    note = verb.data.get("note")
    searched = verb.search_data or (note and note.search)
    return (item.note or "").split() if searched else []
