"""A value of the map, compiled: what a line of MAP.toml says becomes one function from a row to a value.

A string is text with `{columns}` in it; a number or a boolean is itself; a list is the first of its values that
is there; a table says more (`from`, `map`, `format`, …). Everything is read and checked once, here; what runs
per row is closures only.

A function gives `None` for what is missing. It raises `Unfit` where a value is there but is not what the map
says, and the row is rejected with that reason.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from hashlib import blake2b
from math import isfinite
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from milepost.mapping.paths import (
    Getter,
    Row,
    Scope,
    Unfit,
    as_text,
    compile_condition,
    compile_path,
    compile_template,
    constant,
    nearest,
    nothing,
    parse_path,
    split_template,
)

__all__ = ["Kind", "compile_value", "paths_of", "words_of"]

Kind = Literal["text", "number", "time", "any", "boolean", "integer"]

SOURCES: Final = ("from", "text", "value")
EVERY: Final = (*SOURCES, "when", "missing", "map", "default")
OPTIONS: Final[dict[Kind, tuple[str, ...]]] = {
    "text": ("lower", "buckets", "shorten"),
    "number": ("times", "decimals", "missing_below", "missing_above"),
    "integer": ("times", "decimals", "missing_below", "missing_above"),
    "boolean": (),
    "time": ("format", "zone", "unit", "after"),
    "any": ("type",),
}
TYPES: Final[dict[str, Kind]] = {
    "text": "text", "integer": "integer", "decimal": "number", "boolean": "boolean", "time": "time"
}  # fmt: skip
SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800}
TRUE: Final = frozenset(("true", "t", "yes", "y", "1"))
FALSE: Final = frozenset(("false", "f", "no", "n", "0"))


def compile_value(spec: Any, kind: Kind, scope: Scope, at: str, pointer: str, *, zone: str | None = None) -> Getter:
    """The function for one value of the map. `at` names it in problems of the map, `pointer` in rejects of rows."""
    if isinstance(spec, list):
        choices = [compile_value(one, kind, scope, f"{at}[{number}]", pointer, zone=zone) for number, one in enumerate(spec, 1)]
        if not choices:
            scope.problem(at, "an empty list gives nothing")

        def first(row: Row) -> Any:
            for choice in choices:
                value = choice(row)
                if value is not None:
                    return value
            return None

        return first
    if isinstance(spec, dict):
        return _compile_table(spec, kind, scope, at, pointer, zone)
    if isinstance(spec, str):
        return _convert(compile_template(spec, scope, at), kind, {}, scope, at, pointer, zone)
    return _convert(constant(spec), kind, {}, scope, at, pointer, zone)


def words_of(spec: Any) -> set[str] | None:
    """The words that a value can give, as far as the map says them; None where they come out of the rows."""
    if isinstance(spec, str):
        return None if "{" in spec else {spec}
    if isinstance(spec, list):
        parts = [words_of(one) for one in spec]
        return None if None in parts else set().union(*(part for part in parts if part is not None))
    if isinstance(spec, dict):
        default = {str(spec["default"])} - {""} if "default" in spec else set()
        if "map" in spec and isinstance(spec["map"], dict):
            return {str(word) for word in spec["map"].values()} | default
        if "value" in spec:
            return {str(spec["value"])}
        if "text" in spec and "{" not in spec["text"]:
            return {spec["text"]}
    return None


def paths_of(spec: Any) -> tuple[str, ...]:
    """The paths that a value of a map that has been checked is read from, in their order, as a map writes them."""
    if isinstance(spec, str):
        found = [part for part in split_template(spec) if not isinstance(part, str)]
    elif isinstance(spec, list):
        return tuple(dict.fromkeys(path for one in spec for path in paths_of(one)))
    elif isinstance(spec, dict):
        found = [parse_path(spec["from"])] if "from" in spec else []
        if not found:
            return paths_of([spec["text"]] if "text" in spec else [*spec.values()])
    else:
        return ()
    return tuple(dict.fromkeys(".".join(f'"{part}"' if "." in part else part for part in path) for path in found))


def _compile_table(spec: Row, kind: Kind, scope: Scope, at: str, pointer: str, zone: str | None) -> Getter:
    if kind == "any" and "type" in spec:
        if spec["type"] not in TYPES:
            scope.problem(f"{at}.type", f"is one of {', '.join(TYPES)}")
            return nothing
        kind = TYPES[spec["type"]]
        spec = {name: value for name, value in spec.items() if name != "type"}
    known = (*EVERY, *OPTIONS[kind])
    for name in spec:
        if name not in known:
            scope.problem(at, f"'{name}' is not known here{nearest(name, known)}")
    given = [name for name in SOURCES if name in spec]
    if len(given) != 1:
        scope.problem(at, f"needs one of {', '.join(SOURCES)}")
        return nothing
    source = spec[given[0]]
    if given[0] == "value":
        get = constant(source)
    elif not isinstance(source, str):
        scope.problem(f"{at}.{given[0]}", "is a string")
        return nothing
    elif given[0] == "text":
        get = compile_template(source, scope, f"{at}.text")
    else:
        try:
            get = compile_path(parse_path(source), scope, f"{at}.from")
        except ValueError as error:
            scope.problem(f"{at}.from", str(error))
            return nothing
    if "missing" in spec:
        get = _without(get, spec["missing"])
    if "buckets" in spec or "lower" in spec:
        get = _changed(get, spec, scope, at)
    if "map" in spec:
        get = _mapped(get, spec, scope, at, pointer)
    get = _convert(get, kind, spec, scope, at, pointer, zone)
    if "default" in spec:
        get = _or_default(get, _convert(constant(spec["default"]), kind, {}, scope, at, pointer, zone), scope, at)
    if "when" in spec:
        holds, otherwise = compile_condition(spec["when"], scope, f"{at}.when"), get
        return lambda row: otherwise(row) if holds(row) else None
    return get


def _or_default(get: Getter, constant: Getter, scope: Scope, at: str) -> Getter:
    try:
        default = constant({})
    except Unfit as unfit:
        scope.problem(f"{at}.default", unfit.rule)
        return nothing
    default = None if default == "" else default  # default = "" says that what the map has not is simply missing
    return lambda row: default if (value := get(row)) is None else value


def _without(get: Getter, missing: Any) -> Getter:
    """Some texts or numbers stand for "nothing" in the source."""
    values = missing if isinstance(missing, list) else [missing]
    texts = frozenset(as_text(one) for one in values)
    numbers = frozenset(float(one) for one in values if isinstance(one, int | float))

    def without(row: Row) -> Any:
        value = get(row)
        if value is None or (as_text(value) if type(value) is not str else value) in texts:
            return None
        if numbers and (number := _float(value)) is not None and number in numbers:
            return None
        return value

    return without


def _mapped(get: Getter, spec: Row, scope: Scope, at: str, pointer: str) -> Getter:
    table = spec["map"]
    if not isinstance(table, dict):
        scope.problem(f"{at}.map", 'is a table such as { Run = "run" }')
        return nothing
    forgiving = "default" in spec

    def mapped(row: Row) -> Any:
        value = get(row)
        if value is None:
            return None
        value = value if type(value) is str else as_text(value)
        if value in table:
            return table[value]
        if forgiving:
            return None
        raise Unfit(pointer, "is not in the map", value)

    return mapped


def _convert(get: Getter, kind: Kind, spec: Row, scope: Scope, at: str, pointer: str, zone: str | None) -> Getter:
    match kind:
        case "text":
            return _text(get, spec, scope, at)
        case "number" | "integer":
            return _number(get, spec, scope, at, pointer, whole=kind == "integer")
        case "time":
            return _time(get, spec, scope, at, pointer, zone)
        case "boolean":
            return _boolean(get, pointer)
        case _:
            return get


def _changed(get: Getter, spec: Row, scope: Scope, at: str) -> Getter:
    """Before the map, so that the map can name buckets and need not name every spelling."""
    buckets, lower = spec.get("buckets"), spec.get("lower", False)
    if buckets is not None and (not isinstance(buckets, int) or buckets < 1):
        scope.problem(f"{at}.buckets", "is a number of buckets, from 1")
        return nothing

    def changed(row: Row) -> str | None:
        value = get(row)
        if value is None:
            return None
        value = as_text(value).lower() if lower else as_text(value)
        return str(zlib.crc32(value.encode()) % buckets) if buckets else value

    return changed


def _text(get: Getter, spec: Row, scope: Scope, at: str) -> Getter:
    shorten = spec.get("shorten", 0)
    if not isinstance(shorten, int) or ("shorten" in spec and shorten < 32):
        scope.problem(f"{at}.shorten", "is a number of characters, from 32")
        return nothing

    def text(row: Row) -> str | None:
        value = get(row)
        if type(value) is str or value is None:
            return value
        return as_text(value)

    def short(row: Row) -> str | None:
        value = text(row)
        if value is None or len(value) <= shorten:
            return value
        # The hash of the whole keeps two long texts two.
        return f"{value[: shorten - 17]}~{blake2b(value.encode(), digest_size=8).hexdigest()}"

    return short if shorten else text


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _number(get: Getter, spec: Row, scope: Scope, at: str, pointer: str, *, whole: bool) -> Getter:
    for name in ("times", "missing_below", "missing_above"):
        if name in spec and (isinstance(spec[name], bool) or not isinstance(spec[name], int | float)):
            scope.problem(f"{at}.{name}", "is a number")
            return nothing
    decimals = spec.get("decimals", 0 if whole and "times" in spec else None)
    if decimals is not None and (not isinstance(decimals, int) or not 0 <= decimals <= 9):
        scope.problem(f"{at}.decimals", "is a number of decimal places, 0 to 9")
        return nothing
    below, above = spec.get("missing_below"), spec.get("missing_above")
    times = Decimal(str(spec.get("times", 1)))
    exact = decimals is not None or times != 1
    quantum = None if decimals is None else Decimal(1).scaleb(-decimals)

    def number(row: Row) -> Any:
        value = get(row)
        if value is None:
            return None
        found: Any = value
        if type(value) is str:
            if value.isdecimal() and len(value) < 400:
                found = int(value)
            else:
                try:
                    # A float shows again the digits it was read from, up to 15 of them.
                    found = float(value) if len(value) < 16 else Decimal(value)
                except (ValueError, InvalidOperation):
                    raise Unfit(pointer, "is not a number", value) from None
                if "_" in value:
                    raise Unfit(pointer, "is not a number", value)
        elif type(value) is not int and type(value) is not float and not isinstance(value, Decimal):
            raise Unfit(pointer, "is not a number", value)
        try:
            if not isfinite(found):
                raise Unfit(pointer, "is not a finite number", value)
            if exact:
                found = (found if type(found) is Decimal else Decimal(str(found))) * times
                if quantum is not None:
                    found = found.quantize(quantum, ROUND_HALF_UP)
        except (ArithmeticError, ValueError):  # of more digits than a decimal has, or than become a text
            raise Unfit(pointer, "is too large a number") from None
        if (below is not None and found < below) or (above is not None and found > above):
            return None
        if type(found) is not int and found == (rounded := int(found)):
            return rounded
        if whole and type(found) is not int:
            raise Unfit(pointer, "is not a whole number", value)
        return found

    return number


def _boolean(get: Getter, pointer: str) -> Getter:
    def boolean(row: Row) -> bool | None:
        value = get(row)
        if value is None or type(value) is bool:
            return value
        text = as_text(value).lower()
        if text in TRUE or text in FALSE:
            return text in TRUE
        raise Unfit(pointer, "is neither true nor false", value)

    return boolean


# ── Times ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _time(get: Getter, spec: Row, scope: Scope, at: str, pointer: str, zone: str | None) -> Getter:
    name = spec.get("zone", zone)
    place: ZoneInfo | None = None
    if name is not None:
        try:
            place = ZoneInfo(name)
        except (ValueError, TypeError, OSError):  # ZoneInfoNotFoundError is a KeyError in 3.11
            scope.problem(f"{at}.zone", f"{name!r} is not a time zone")
        except KeyError:
            scope.problem(f"{at}.zone", f"{name!r} is not a time zone")
    if "unit" in spec or "after" in spec:
        return _offset(get, spec, scope, at, pointer, name)
    formats = spec.get("format", [])
    formats = formats if isinstance(formats, list) else [formats]
    if not all(isinstance(one, str) for one in formats):
        scope.problem(f"{at}.format", 'is a format such as "%d/%m/%Y", "iso", "unix" or "unix_ms", or a list of them')
        return nothing
    readers = [_reader(one) for one in formats] or [datetime.fromisoformat]

    def time(row: Row) -> datetime | None:
        value = get(row)
        if value is None:
            return None
        found: datetime | None = None
        if type(value) is str or (formats and isinstance(value, int | float)):
            for read in readers:
                try:
                    found = read(value)
                    break
                except (ValueError, OverflowError, OSError):
                    continue
        elif isinstance(value, datetime):
            found = value
        elif isinstance(value, date):
            found = datetime(value.year, value.month, value.day)
        if found is None:
            raise Unfit(pointer, "is not a time", value)
        if found.tzinfo is None:
            if place is None:
                raise Unfit(pointer, "is a time without a zone (say which with zone = …)", value)
            found = found.replace(tzinfo=place)
        return found

    return time


def _reader(name: str) -> Callable[[Any], datetime]:
    if name == "iso":
        return datetime.fromisoformat
    if name in ("unix", "unix_ms"):
        divisor = Decimal(1000 if name == "unix_ms" else 1)

        def unix(value: Any) -> datetime:
            try:
                microseconds = int(Decimal(str(value)) / divisor * 1_000_000)
            except ArithmeticError as error:
                raise ValueError(value) from error
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)

        return unix
    return lambda value: datetime.strptime(str(value), name)


def _offset(get: Getter, spec: Row, scope: Scope, at: str, pointer: str, zone: str | None) -> Getter:
    """So many days after another time: what data sets do that hide their dates."""
    if spec.get("unit") not in SECONDS or "after" not in spec:
        scope.problem(at, f"an offset has unit (one of {', '.join(SECONDS)}) and after (the time it counts from)")
        return nothing
    seconds = SECONDS[spec["unit"]]
    by_the_clock = spec["unit"] in ("days", "weeks")  # ten days after midnight is midnight, whatever summer time did
    count = _number(get, {}, scope, at, pointer, whole=False)
    after = compile_value(spec["after"], "time", scope, f"{at}.after", pointer, zone=zone)

    def offset(row: Row) -> datetime | None:
        number, start = count(row), after(row)
        if number is None or start is None:
            return None
        start = start if by_the_clock else start.astimezone(UTC)
        try:
            return start + timedelta(seconds=float(number) * seconds)  # type: ignore[no-any-return]
        except OverflowError:
            raise Unfit(pointer, "is not a time", number) from None

    return offset
