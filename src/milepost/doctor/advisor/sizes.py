"""How large an index would be, from what the statistics say of its columns.

A B-tree's leaf holds a tuple a row: 8 bytes, the columns with their alignment, 4 bytes of its pointer, rounded up to 8; pages are
filled to 90 %. Equal keys are kept once (since PostgreSQL 13, unless columns are only included, or their type has equal values
that look different), with 6 bytes a row: that is why an index on a flag takes a tenth of its rows' width. Tests hold the estimate
against indexes that were built.
"""

from __future__ import annotations

import math
import re

from milepost.doctor.advisor.index import Index, plain_key
from milepost.doctor.advisor.planning import Size
from milepost.doctor.advisor.relations import Column, Table

__all__ = ["distinct_of", "estimated_size"]

TUPLE_BYTES = 8
POINTER_BYTES = 4
LEAF_BYTES = (8192 - 24 - 16) * 0.9
POSTING_ROWS = 134  # of one key in one tuple at most: a tenth of a page, at 6 bytes a row
ROW_ID_BYTES = 6
INNER_SHARE = 1.006
EXPRESSION_BYTES = 16
ALIGNED = {"c": 1, "s": 2, "i": 4, "d": 8}
BRIN_RANGE_PAGES = 128
BRIN_FIXED_PAGES = 3


def estimated_size(index: Index, table: Table, share: float) -> Size:
    """share: of the table's rows that the index holds; below 1 if it is partial. Of a partitioned table, that of all its parts."""
    leaves = max(1, table.leaves)
    part = _part_size(index, table, share, leaves)
    return Size(pages=part.pages * leaves, rows=part.rows * leaves)


def _part_size(index: Index, table: Table, share: float, leaves: int) -> Size:
    """Of one partition of as many that are alike: each has its own list of a key's rows."""
    rows = max(1.0, table.size.rows * share / leaves)
    columns = [_column(table, key) for key in index.columns]
    data = _tuple_bytes(columns)
    if index.method == "brin":
        ranges = math.ceil(table.size.pages / leaves / BRIN_RANGE_PAGES)
        return Size(pages=BRIN_FIXED_PAGES + math.ceil(ranges * (2 * data + TUPLE_BYTES) / LEAF_BYTES), rows=ranges)
    if index.method == "gin":
        # Entries of a document share their posting lists, which are compressed to one or two bytes a row.
        return Size(pages=2 + math.ceil(rows * max(24.0, data / 2) / LEAF_BYTES), rows=rows)
    whole = rows * (_rounded(data) + POINTER_BYTES)
    if not index.include and all(one is None or one.dedups for one in columns):
        keys = distinct_of(index.keys, table, rows)
        tuples = keys * math.ceil(rows / keys / POSTING_ROWS)
        # A list is rounded up to 8 bytes as well; a key of one row has none.
        lists = tuples * min(1.0, rows / keys - 1) * (ROW_ID_BYTES + 4) + (rows - keys) * ROW_ID_BYTES
        whole = min(whole, tuples * (_rounded(data) + POINTER_BYTES) + lists)
    return Size(pages=1 + math.ceil(whole / LEAF_BYTES * INNER_SHARE), rows=rows)


def distinct_of(keys: tuple[str, ...], table: Table, rows: float) -> float:
    """Combinations among so many rows, if columns had nothing to do with each other."""
    product, most = 1.0, 1.0
    for key in keys:
        column = _column(table, key)
        distinct = column.distinct if column is not None else max(1.0, rows / 4)
        product, most = min(product * distinct, 1e15), max(most, distinct)
    if product == most:
        return min(rows, most)
    return max(1.0, min(rows, max(most, product * -math.expm1(-rows / product))))


def _column(table: Table, key: str) -> Column | None:
    """The column that a key is, or, of an expression, that it is made from: as wide, with as many values."""
    key = plain_key(key)
    if not key.startswith("("):
        return table.columns.get(key[1:-1].replace('""', '"') if key.startswith('"') else key)
    return next((table.columns[word] for word in re.findall(r"\w+", key) if word in table.columns), None)


def _tuple_bytes(columns: list[Column | None]) -> float:
    at = float(TUPLE_BYTES)
    for column in columns:
        if column is None:
            at += EXPRESSION_BYTES
            continue
        if column.length > 0:
            at = _rounded(at, ALIGNED[column.align])
        at += column.width * (1 - column.null_frac)
    return at


def _rounded(value: float, to: int = 8) -> float:
    return math.ceil(value / to) * to
