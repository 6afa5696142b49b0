"""The cures that several checks propose: the sentence, the statements, and the operation that does the same without blocking anyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from milepost.doctor.checks.check import Seen
from milepost.doctor.finding import Cure

__all__ = [
    "advise_index",
    "alter_sequence",
    "analyze_table",
    "create_index",
    "create_partitions",
    "drop_index",
    "refresh_view",
    "reindex_index",
    "set_options",
    "set_setting",
    "terminate",
    "vacuum_table",
]

# Sources of pg_settings that count more than ALTER SYSTEM, and what to do about them.
BEYOND_SQL: Final = {
    "command line": "It is given on the server's command line, which counts more than ALTER SYSTEM: change it where the server is started.",
    "client": "This connection sets it itself (`options` of its DSN, or PGOPTIONS): what others have is not seen.",
}


def create_index(text: str, table: str, columns: Sequence[str], *, unique: bool = False) -> Cure:
    """columns: as the catalogue has them, quoted."""
    kind = "UNIQUE INDEX" if unique else "INDEX"
    operation = {"operation": "create_index", "table": table, "columns": [_plain(column) for column in columns]}
    return Cure(
        text=text,
        statements=(f"CREATE {kind} CONCURRENTLY ON {table} ({', '.join(columns)})",),
        operation=operation | ({"unique": True} if unique else {}),
    )


def drop_index(text: str, index: str) -> Cure:
    return Cure(
        text=text,
        statements=(f"DROP INDEX CONCURRENTLY {index}",),
        operation={"operation": "drop_index", "index": index},
    )


def reindex_index(text: str, index: str) -> Cure:
    return Cure(
        text=text,
        statements=(f"REINDEX INDEX CONCURRENTLY {index}",),
        operation={"operation": "reindex", "index": index},
    )


def vacuum_table(text: str, table: str, *, freeze: bool = False) -> Cure:
    options = "FREEZE, ANALYZE" if freeze else "ANALYZE"
    operation = {"operation": "vacuum", "table": table, "analyze": True}
    return Cure(
        text=text,
        statements=(f"VACUUM ({options}) {table}",),
        operation=operation | ({"freeze": True} if freeze else {}),
    )


def analyze_table(text: str, table: str) -> Cure:
    return Cure(text=text, statements=(f"ANALYZE {table}",), operation={"operation": "analyze", "table": table})


def refresh_view(text: str, view: str, *, concurrently: bool, by_hand: str = "") -> Cure:
    """The first refresh of a view cannot be concurrent, and blocks nobody who would get an answer. by_hand: see `Cure`."""
    word = " CONCURRENTLY" if concurrently else ""
    return Cure(
        text=text,
        statements=(f"REFRESH MATERIALIZED VIEW{word} {view}",),
        operation=None if by_hand else {"operation": "refresh_view", "view": view},
        by_hand=by_hand,
    )


def set_setting(seen: Seen, text: str, name: str, value: str, *, restart: bool = False) -> Cure:
    """Where it is set now, since ALTER SYSTEM counts least of all. restart: the server takes it only when it starts."""
    held = seen.facts["held"].get(name, "configuration file")
    operation = {"operation": "set_setting", "setting": name, "value": value}
    if held in BEYOND_SQL:
        return Cure(text=f"{text} {BEYOND_SQL[held]}", by_hand="No SQL changes what is said there.")
    if held != "configuration file":
        role, database = seen.facts["role_quoted"], seen.facts["database_quoted"]
        whose, where, scope = {
            "global": ("ROLE ALL", "all roles", {"scope": "all_roles"}),
            "database": (f"DATABASE {database}", "this database", {"scope": "database"}),
            "user": (f"ROLE {role}", f"role {role}", {"scope": "role", "role": seen.facts["role"]}),
            "database user": (
                f"ROLE {role} IN DATABASE {database}",
                f"role {role} in this database",
                {"scope": "role", "role": seen.facts["role"], "in_database": True},
            ),
        }[held]
        return Cure(
            text=f"{text} It is set for {where}, which counts more than the server's own.",
            statements=(f"ALTER {whose} SET {name} = '{value}'",),
            operation=operation | scope,
        )
    statements = [f"ALTER SYSTEM SET {name} = '{value}'"]
    return Cure(
        text=text + (" The server takes it when it is started again." if restart else ""),
        statements=tuple(statements if restart else [*statements, "SELECT pg_reload_conf()"]),
        operation=operation,
    )


def set_options(text: str, table: str, options: Mapping[str, int | float | bool]) -> Cure:
    """Storage parameters of a table."""
    given = ", ".join(f"{name} = {str(value).lower()}" for name, value in options.items())
    return Cure(
        text=text,
        statements=(f"ALTER TABLE {table} SET ({given})",),
        operation={"operation": "set_options", "table": table, "options": dict(options)},
    )


def alter_sequence(text: str, sequence: str, *, type: str, maximum: int) -> Cure:
    return Cure(
        text=text,
        statements=(f"ALTER SEQUENCE {sequence} AS {type} MAXVALUE {maximum}",),
        operation={"operation": "alter_sequence", "sequence": sequence, "type": type, "maximum": maximum},
    )


def create_partitions(text: str, table: str, bounds: Sequence[str]) -> Cure:
    """bounds: one after the other, as the catalogue prints them; between two of them lies one partition."""
    return Cure(
        text=text,
        operation={"operation": "create_partitions", "table": table, "bounds": [bound.strip("'") for bound in bounds]},
    )


def terminate(text: str, pids: Sequence[int]) -> Cure:
    return Cure(
        text=text,
        statements=tuple(f"SELECT pg_terminate_backend({pid})" for pid in pids),
        by_hand="Whose work may be lost is for a person to say.",
    )


def advise_index(text: str) -> Cure:
    return Cure(
        text=f"{text} `milepost doctor indexes` proposes one and proves it.",
        by_hand="Which index pays depends on the whole workload; the advice has findings of its own, which a rollout applies.",
    )


def _plain(column: str) -> str:
    """Without the quotes: operations take a column's bare name."""
    return column[1:-1].replace('""', '"') if column.startswith('"') else column
