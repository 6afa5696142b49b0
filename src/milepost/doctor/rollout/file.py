"""What is to be changed: a TOML file of operations, or the same as a mapping from a finding's cure.

    name = "orders-by-customer"          # optional; the file's own name otherwise

    [[operations]]
    operation = "create_index"
    table = "public.orders"
    columns = ["customer_id", "created_at DESC"]

A change is known by the digest of its operations: run again it goes on, whatever the file is called.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from milepost.doctor.promises import Promise
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations import OPERATIONS
from milepost.errors import InvalidInput

__all__ = ["Change", "read_change", "toml_of"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Operations in order. tables: the same as they were written, which is what the journal keeps. promises: of the findings that it
    cures.
    """

    name: str
    operations: tuple[Operation, ...]
    tables: tuple[Mapping[str, Any], ...]
    promises: tuple[Promise, ...] = ()

    @property
    def digest(self) -> str:
        return blake2b(json.dumps(self.tables, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()

    @classmethod
    def of(cls, name: str, tables: Iterable[Mapping[str, Any]], promises: Iterable[Promise] = ()) -> Change:
        """From mappings such as a cure's `operation`. Raises `InvalidInput` with the number of the operation and the field."""
        listed = tuple(dict(table) for table in tables)
        if not listed:
            raise InvalidInput(f"{name}: there are no operations ([[operations]]).")
        made = tuple(_operation(f"{name}: operation {number}", table) for number, table in enumerate(listed, start=1))
        return cls(name=name, operations=made, tables=listed, promises=tuple(promises))


def read_change(path: Path) -> Change:
    """Raises `InvalidInput` with the file, and the line or the operation that is wrong."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}.") from error
    unknown = found.keys() - {"name", "operations"}
    if unknown or not isinstance(found.get("operations", []), list):
        raise InvalidInput(
            f"{path}: a rollout has `name` and `[[operations]]`, and nothing else; found {', '.join(sorted(found))}."
        )
    return Change.of(str(found.get("name", path.stem)), found.get("operations", []))


def toml_of(operations: Iterable[Mapping[str, Any]]) -> str:
    """The operations as a file has them."""
    tables = ("".join(f"{key} = {_value(value)}\n" for key, value in table.items()) for table in operations)
    return "\n".join(f"[[operations]]\n{table}" for table in tables)


def _value(value: Any) -> str:
    """Texts, numbers and truths are written alike in JSON."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _operation(where: str, table: Mapping[str, Any]) -> Operation:
    kind = table.get("operation")
    if kind not in OPERATIONS:
        near = get_close_matches(str(kind), OPERATIONS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(OPERATIONS)}."
        raise InvalidInput(f"{where}: there is no operation {kind!r}. {hint}")
    try:
        made = msgspec.convert({key: value for key, value in table.items() if key != "operation"}, OPERATIONS[kind])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{where} ({kind}): {error}.") from error
    made.check(f"{where} ({kind})")
    return made
