"""Residue: what removed activities counted for, without them.

When retention or an erasure removes activities, the numbers they are in stay: the contributions that go are added up by key and local day
(hour, where the rollup has hours) and kept as rows of `milepost.residue`, in the shape of the rollup they belong to. `verify` and the
repair of a day read activities and residue together, so that derived = recomputed still holds; rows of rollups do not change at all.
A residue row names no activity. It stays as it was attributed when it was made: a later change of a group's past moves activities alone.

`what` is '' for a rollup's numbers, and for a distinct value that of its reference counts, one row a value.
"""

from __future__ import annotations

from collections.abc import Sequence

from milepost.schema.compile._columns import Column
from milepost.schema.compile._contributions import literal

__all__ = ["keep_numbers", "keep_values", "kept_numbers", "kept_values"]

Typed = Sequence[tuple[str, str]]  # names and types of a rollup's keys

INTO = "INSERT INTO milepost.residue (tenant_id, name, what, at, keys, value, n, parts)\n"


def keep_numbers(name: str, keys: Typed, unit: str, columns: Sequence[Column], source: str) -> str:
    """What the contributions `source` add up to becomes residue. They have sign +1."""
    packed = _packed(keys)
    parts = ", ".join(f"{literal(column.name)}, {column.add}" for column in columns)
    group = ", ".join([f"s.{unit}", *(f"s.{key}" for key, _ in keys)])
    return (
        f"{INTO}SELECT %(tenant_id)s, {literal(name)}, '', s.{unit}, {packed}, '', sum(s.sign),"
        f" jsonb_build_object({parts})\nFROM (\n{source}\n) s GROUP BY {group}"
    )


def keep_values(name: str, what: str, keys: Typed, day: str, source: str) -> str:
    """The same of the values that are counted once. day: of a contribution `s`."""
    group = ", ".join([day, *(f"s.{key}" for key, _ in keys), f"s.value_{what}"])
    return (
        f"{INTO}SELECT %(tenant_id)s, {literal(name)}, {literal(what)}, {day}, {_packed(keys)}, s.value_{what}::text, sum(s.sign), '{{}}'\n"
        f"FROM (\n{source}\n) s WHERE s.value_{what} IS NOT NULL GROUP BY {group}"
    )


def kept_numbers(name: str, keys: Typed, columns: Sequence[Column], where: str) -> str:
    """A SELECT of keys, `at`, `n` and columns of the residue `z` that meets `where`."""
    typed = [*keys, *((column.name, column.type) for column in columns)]
    return _kept(name, "", typed, ["z.at", "z.n", *(f"y.{column.name}" for column in columns)], keys, where)


def kept_values(name: str, what: str, keys: Typed, type_: str, where: str) -> str:
    """A SELECT of keys, `at`, `value` and `n`."""
    return _kept(name, what, keys, ["z.at", f"z.value::{type_} AS value", "z.n"], keys, where)


def _kept(name: str, what: str, typed: Typed, picked: list[str], keys: Typed, where: str) -> str:
    shape = ", ".join(f"{column} {type_}" for column, type_ in typed)
    opened = f" CROSS JOIN LATERAL jsonb_to_record(z.keys || z.parts) AS y ({shape})" if shape else ""
    columns = ", ".join([*(f"y.{key}" for key, _ in keys), *picked])
    return (
        f"SELECT {columns} FROM milepost.residue z{opened}\n"
        f"WHERE z.tenant_id = %(tenant_id)s AND z.name = {literal(name)} AND z.what = {literal(what)} AND {where}"
    )


def _packed(keys: Typed) -> str:
    pairs = ", ".join(f"{literal(key)}, s.{key}" for key, _ in keys)
    return f"jsonb_build_object({pairs})"
