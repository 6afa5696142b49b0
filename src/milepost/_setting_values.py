"""The values of settings: from text or TOML to their type, and the checks that an entry in `Settings` can ask for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from milepost.errors import SettingsError

__all__ = ["Check", "Value", "any_url", "at_least", "one_of", "postgres_url", "size"]

SIZE = re.compile(r"[1-9]\d*(kB|MB|GB)")
YES, NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
WANTED = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    tuple: "a list of texts",
}

Check = Callable[[Any], str | None]  # what is wrong with a value, in words that follow it


def at_least(low: float, high: float = math.inf) -> Check:
    wanted = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
    return lambda value: None if low <= value <= high else f"must be {wanted}"


def one_of(*allowed: str) -> Check:
    return lambda value: None if value in allowed else f"must be one of {', '.join(allowed)}"


def size(value: str) -> str | None:
    return None if SIZE.fullmatch(value) else "must be a size such as 64MB (kB, MB or GB)"


def postgres_url(value: str) -> str | None:
    if value.startswith(("postgresql://", "postgres://")) or "=" in value:
        return None
    return "must be a URL that begins with postgresql://"


def any_url(value: str) -> str | None:
    return None if "://" in value else "must be a URL, such as redis://host:6379/0"


@dataclass(frozen=True, kw_only=True)
class Value:
    """What a setting may be. `written` in its methods is how the user wrote the setting, for errors."""

    name: str
    kind: type[Any]
    optional: bool
    secret: bool

    @classmethod
    def of(cls, name: str, hint: Any, *, secret: bool) -> Value:
        """From a type hint such as `int | None` or `tuple[str, ...]`."""
        optional = type(None) in get_args(hint)
        kind = next(part for part in get_args(hint) if part is not type(None)) if optional else hint
        return cls(name=name, kind=get_origin(kind) or kind, optional=optional, secret=secret)

    def from_text(self, text: str, written: str) -> Any:
        """From a flag or a variable."""
        plain = text.strip()
        if self.optional and plain.lower() == "none":
            return None
        if self.kind is tuple:
            return tuple(part.strip() for part in plain.split(",") if part.strip())
        if self.kind is bool and plain.lower() in YES | NO:
            return plain.lower() in YES
        if self.kind in (int, float):
            try:
                return self.typed(self.kind(plain), written)
            except ValueError:
                self.refuse(text, written)
        return self.refuse(text, written) if self.kind is bool else self.kind(text)

    def from_file(self, value: Any, written: str, folder: Path) -> Any:
        """From TOML, which has no null: the text "none" stands for it. Paths are relative to the file's folder."""
        if self.kind is Path and isinstance(value, str):
            return folder / value
        if self.kind is tuple and isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
        return None if self.optional and value == "none" else self.typed(value, written)

    def typed(self, value: Any, written: str) -> Any:
        """A value that must be of the right type already; a whole number will do for a number."""
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, self.kind) or isinstance(value, bool) != (self.kind is bool):
            self.refuse(value, written)
        if self.kind is float and not math.isfinite(value):
            self.refuse(value, written)
        return value

    def refuse(self, value: Any, written: str) -> NoReturn:
        shown = "the value" if self.secret else repr(value)
        raise SettingsError(f"{written}: {shown} is not {WANTED[self.kind]}.", setting=self.name)
