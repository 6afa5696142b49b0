"""The health checks, one file each: a query, a rule, limits, a cure. `CHECKS` has all of them, in the order of the report."""

from milepost.doctor.checks import (
    bloated_index,
    duplicate_index,
    index_usage,
    invalid_index,
    missing_foreign_key_index,
    redundant_index,
    sequential_scans,
    unused_index,
)
from milepost.doctor.checks.check import Check

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = tuple(
    module.CHECK
    for module in (
        missing_foreign_key_index,
        sequential_scans,
        index_usage,
        unused_index,
        duplicate_index,
        redundant_index,
        invalid_index,
        bloated_index,
    )
)
