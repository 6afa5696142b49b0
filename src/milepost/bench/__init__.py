"""Benchmarks: each measures milepost beside what it is compared with, in turn, in one run, on servers of its own.

`milepost bench NAME --json` prints one object: `{"scenario", "machine", "settings", "figures": [{"name", "value", "unit",
"target", "met"}]}`. A figure without a target is there to be read; one that misses its target makes the exit code 1.
"""

from __future__ import annotations

from milepost.bench._run import command

__all__ = ["command"]
