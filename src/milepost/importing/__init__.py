"""Import: real files, CSV, JSON lines or Parquet, become activities and entities by a map (docs/import.md).

    whole = load_map(Path("running-log.map.toml"))
    summary = await run_import(Path("activities.csv.gz"), whole, sink, tenant="demo", …)

In order: `mapping` reads and checks the map, `plan` decides which sections read which files, `reading` gives
rows, `sections` and `values` are what a row becomes, `batches` bounds and encodes, `run` sends and remembers
(`record`), `sink` is where to.
"""

from __future__ import annotations

from ._types import Map, MapError
from .check import check_map
from .mapping import load_map, parse_map
from .plan import ImportRefused
from .reading import FileDamaged, UnknownFormat
from .record import Counts
from .run import Summary, Watch, run_import
from .sink import Outcome, Refused, Sent, Sink

__all__ = [
    "Counts",
    "FileDamaged",
    "ImportRefused",
    "Map",
    "MapError",
    "Outcome",
    "Refused",
    "Sent",
    "Sink",
    "Summary",
    "UnknownFormat",
    "Watch",
    "check_map",
    "load_map",
    "parse_map",
    "run_import",
]
