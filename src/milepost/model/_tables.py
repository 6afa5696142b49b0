"""One table of a model's TOML, read key by key: every accessor notes what is wrong and answers with something
to go on with.

Going on matters: all mistakes of a model are to be named at once, and none of them because of another. So a
broken text reads as "" and keeps its place in its list, a broken list as empty, a broken table as an empty
table; the checks pass over "". `close` names the keys nobody asked for, with the nearest of those that were.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from milepost.model._lines import Path
from milepost.model._phrases import Unreadable, is_name
from milepost.model._problems import Notes, nearest_word, quoted

__all__ = ["Table", "expect_name"]

T = TypeVar("T")
Word = TypeVar("Word", bound=str)


class Table:
    """`content` may be anything TOML can hold: what is no table is noted and read as an empty one."""

    def __init__(self, notes: Notes, path: Path, content: object) -> None:
        self.notes = notes
        self.path = path
        self.content: dict[str, Any] = {}
        if isinstance(content, dict):
            self.content = content
        else:
            self._wrong_type(path, content, "a table")
        self._asked: list[str] = []

    def has(self, key: str) -> bool:
        self._asked.append(key)
        return key in self.content

    def raw(self, key: str) -> Any:
        """The value as TOML gave it, None if absent (TOML has no null)."""
        self._asked.append(key)
        return self.content.get(key)

    def text(self, key: str, *, required: bool = False, default: str = "") -> str:
        value = self.raw(key)
        if value is None:
            if required:
                self.missing(key)
            return default
        if not isinstance(value, str):
            self._wrong_type((*self.path, key), value, "a text")
            return default
        if not value:
            self._empty((*self.path, key))
        return value

    def phrase(self, key: str, rule: str, read: Callable[[str], T], default: T, *, required: bool = False) -> T:
        """A text in one of the small languages of `_phrases`."""
        text = self.text(key, required=required)
        return self.read((*self.path, key), rule, read, text, default) if text else default

    def read(self, path: Path, rule: str, read: Callable[[str], T], text: str, default: T) -> T:
        try:
            return read(text)
        except Unreadable as error:
            self.notes.add(path, rule, str(error), error.nearest)
            return default

    def name(self, key: str, *, required: bool = False) -> str | None:
        """A name in the model's own spelling; None if absent or no text, which is noted."""
        text = self.text(key, required=required)
        if not text:
            return None
        expect_name(self.notes, (*self.path, key), text)
        return text

    def choice(self, key: str, choices: tuple[Word, ...], default: Word, *, required: bool = False) -> Word:
        text = self.text(key, required=required, default=default)
        found = next((choice for choice in choices if choice == text), None)
        if found is None and text:
            self.unknown_word((*self.path, key), text, choices)
        return default if found is None else found

    def whole(self, key: str, least: int, most: int) -> int | None:
        """A whole number within bounds; None if absent or not one, which is noted."""
        value = self.raw(key)
        if value is None:
            return None
        if type(value) is not int:
            self._wrong_type((*self.path, key), value, "a whole number")
        elif not least <= value <= most:
            self.notes.add((*self.path, key), "out-of-range", f"{key} is {least} to {most}")
        else:
            return value
        return None

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._wrong_type((*self.path, key), value, "true or false")
            return default
        return value

    def words(self, key: str, *, required: bool = False, empty: bool = False) -> tuple[str, ...]:
        """A list of texts; one text may stand for a list of one. Names what is there twice, and an empty list
        unless allowed.
        """
        value = self.raw(key)
        if value is None:
            if required:
                self.missing(key)
            return ()
        if isinstance(value, str):
            return (self.text(key),)
        if not isinstance(value, list):
            self._wrong_type((*self.path, key), value, "a list of texts")
            return ()
        if not value and not empty:
            self.notes.add((*self.path, key), "empty-list", f"{key} needs at least one entry")
        words: list[str] = []
        for position, element in enumerate(value):
            place = (*self.path, key, position)
            if not isinstance(element, str):
                self._wrong_type(place, element, "a text")
                element = ""
            elif not element:
                self._empty(place)
            elif element in words:
                self.notes.add(place, "duplicate", f"{quoted(element)} is named twice")
            words.append(element)
        return tuple(words)

    def choices(
        self,
        key: str,
        choices: tuple[Word, ...],
        default: tuple[Word, ...],
        *,
        required: bool = False,
        empty: bool = False,
    ) -> tuple[Word, ...]:
        """A list of words of a closed set; words outside of it are noted and left out."""
        if not required and not self.has(key):
            return default
        known = []
        for position, text in enumerate(self.words(key, required=required, empty=empty)):
            found = next((choice for choice in choices if choice == text), None)
            if found is not None:
                known.append(found)
            elif text:
                self.unknown_word((*self.path, key, position), text, choices)
        return tuple(known)

    def table(self, key: str) -> Table:
        value = self.raw(key)
        return Table(self.notes, (*self.path, key), {} if value is None else value)

    def named(self, key: str, *, reserved: Iterable[str] = ()) -> Iterator[tuple[str, Path, Any]]:
        """What the user has named under this key: (name, path, value as TOML gave it), the names checked."""
        inner = self.table(key)
        for name, value in inner.content.items():
            path = (*inner.path, name)
            expect_name(self.notes, path, name)
            if name in reserved:
                self.notes.add(path, "reserved-name", f"{quoted(name)} is a word of milepost's own here; take another")
            yield name, path, value

    def missing(self, key: str) -> None:
        self.notes.add(self.path, "missing-key", f"{key} is missing")

    def wrong_type(self, key: str, expected: str) -> None:
        self._wrong_type((*self.path, key), self.content[key], expected)

    def unknown_word(self, path: Path, word: str, known: Iterable[str]) -> None:
        known = tuple(known)
        message = f"{quoted(word)} is not one of {', '.join(known)}"
        self.notes.add(path, "unknown-word", message, nearest_word(word, known))

    def close(self) -> list[str]:
        """Note the keys that nobody asked for; answers with them."""
        asked = list(dict.fromkeys(self._asked))
        unknown = [key for key in self.content if key not in asked]
        for key in unknown:
            message = f"unknown key {quoted(key)}; known here: {', '.join(asked)}"
            self.notes.add((*self.path, key), "unknown-key", message, nearest_word(key, asked))
        return unknown

    def _empty(self, path: Path) -> None:
        self.notes.add(path, "bad-name", "the text is empty")

    def _wrong_type(self, path: Path, value: object, expected: str) -> None:
        self.notes.add(path, "wrong-type", f"expected {expected}, not {_kind(value)}")


def expect_name(notes: Notes, path: Path, text: str) -> None:
    """Note a name that is not `[a-z][a-z0-9_]{0,47}`, with the nearest that is."""
    if is_name(text):
        return
    near = re.sub(r"[^a-z0-9]+", "_", text[:200].lower()).strip("_0123456789")[:48].rstrip("_")
    message = "a name is a lower-case letter, then letters, digits and underscores, 48 in all"
    notes.add(path, "bad-name", f"{quoted(text)}: {message}", near if is_name(near) else None)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, datetime.datetime):
        return "a date with time"
    kinds: tuple[tuple[type, str], ...] = (
        (str, "a text"), (int, "an integer"), (float, "a decimal number"), (list, "a list"), (dict, "a table"),
        (datetime.date, "a date"), (datetime.time, "a time of day"),
    )  # fmt: skip
    return next(kind for type_, kind in kinds if isinstance(value, type_))
