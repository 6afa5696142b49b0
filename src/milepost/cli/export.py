"""`milepost export`: a tenant's or one actor's activities, to take elsewhere."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from milepost.cli._database import as_service
from milepost.cli._options import PLACE, settings_options, system_option
from milepost.cli.tenant import tenant_named
from milepost.feeds.export import activity_streams, exported
from milepost.postgres import Database
from milepost.schema.models import current_model
from milepost.settings import Settings
from milepost.storage.activities import Presenter
from milepost.storage.cold_files import cold_files
from milepost.storage.content import Contents
from milepost.storage.file import find_file, pieces_of
from milepost.storage.filters import Filter
from milepost.storage.objects import ObjectStore, object_store

__all__ = ["export", "fetch_files"]

# Of a Parquet file; what is nested stays JSON.
COLUMNS = (
    dict.fromkeys(("id", "actor", "verb", "group", "visibility", "source", "status", "key"), "VARCHAR")
    | dict.fromkeys(("occurred_at", "received_at"), "TIMESTAMPTZ")
    | dict.fromkeys(("object", "groups", "measures", "data", "files", "content"), "JSON")
    | {"version": "BIGINT"}
)

_encode = msgspec.json.Encoder(decimal_format="number").encode


@click.command()
@click.option("--tenant", "name", metavar="NAME", required=True, help="Whose.")
@click.option("--actor", metavar="ID", help="Only this actor's.")
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "activitystreams", "parquet"]), default="jsonl", show_default=True
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to. Default: stdout; of parquet, required.",
)
@click.option(
    "--files",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Also write the files that they name there, each under its id.",
)
@system_option
@settings_options(*PLACE, "object_store_url", "analytics_timeout_s")
def export(
    settings: Settings, system: str | None, name: str, actor: str | None, form: str, out: Path | None, folder: Path | None
) -> None:
    """Write activities with their content, newest first, what is archived included: a line of JSON each, or a Parquet file."""
    if form == "parquet" and out is None:
        raise click.UsageError("Say where to: --format parquet needs --out FILE.")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    lines = out.with_suffix(".jsonl.part") if form == "parquet" and out is not None else out

    async def work(database: Database) -> int:
        tenant = await tenant_named(database, name)
        async with database.transaction("point") as conn:
            current = await current_model(conn)
        presenter = Presenter(current.compiled.columns, cold_files(settings), attached=current.model.verbs_with_files())
        store, written = object_store(settings), 0
        with ExitStack() as ends:
            file: BinaryIO = sys.stdout.buffer if lines is None else ends.enter_context(lines.open("wb"))
            async for one in exported(
                database, tenant.tenant_id, current.model, presenter, Filter(actor=actor), Contents(store)
            ):
                _write(file, activity_streams(one) if form == "activitystreams" else one)
                written += 1
                if folder is not None:
                    await fetch_files(store, database, tenant.tenant_id, one, folder)
            file.flush()
        return written

    written = as_service(settings, work, system=system)
    if form == "parquet" and out is not None and lines is not None:
        try:
            _as_parquet(lines, out)
        finally:
            lines.unlink()
    click.echo(f"{written} activities", err=True)


async def fetch_files(store: ObjectStore, database: Database, tenant_id: int, activity: dict[str, Any], folder: Path) -> None:
    """What the files hold that an activity names, each under its id."""
    for one in (one for named in activity.get("files", {}).values() for one in named if not one.get("gone")):
        if (folder / one["id"]).exists():
            continue  # another activity names it as well, or an earlier run has written it
        part = folder / f"{one['id']}.part"
        with part.open("wb") as opened:
            found = await find_file(database, tenant_id, one["id"])
            async for piece in pieces_of(store, found, 0, found.size):
                opened.write(piece)
        part.rename(folder / one["id"])


def _write(file: BinaryIO, one: object) -> None:
    file.write(_encode(one))
    file.write(b"\n")


def _as_parquet(lines: Path, out: Path) -> None:
    import duckdb

    with duckdb.connect() as db:
        rows = db.read_json(str(lines), format="newline_delimited", columns=COLUMNS)
        rows.write_parquet(str(out), compression="zstd")
