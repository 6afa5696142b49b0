"""The cures that several checks propose: the sentence, the statements, and the operation that does the same without blocking anyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from milepost.doctor.finding import Cure

__all__ = [
    "advise_index",
    "alter_sequence",
    "analyze_table",
    "create_index",
    "drop_index",
    "refresh_view",
    "reindex_index",
    "set_setting",
    "set_table_parameters",
    "terminate",
    "vacuum_table",
]


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
        operation={"operation": "reindex_index", "index": index},
    )


def vacuum_table(text: str, table: str, *, freeze: bool = False) -> Cure:
    options = "FREEZE, ANALYZE" if freeze else "ANALYZE"
    operation = {"operation": "vacuum_table", "table": table, "analyze": True}
    return Cure(
        text=text,
        statements=(f"VACUUM ({options}) {table}",),
        operation=operation | ({"freeze": True} if freeze else {}),
    )


def analyze_table(text: str, table: str) -> Cure:
    return Cure(text=text, statements=(f"ANALYZE {table}",), operation={"operation": "analyze_table", "table": table})


def refresh_view(text: str, view: str, *, concurrently: bool) -> Cure:
    word = " CONCURRENTLY" if concurrently else ""
    return Cure(
        text=text,
        statements=(f"REFRESH MATERIALIZED VIEW{word} {view}",),
        operation={"operation": "refresh_materialized_view", "view": view, "concurrently": concurrently},
    )


def set_setting(text: str, name: str, value: str, *, restart: bool = False) -> Cure:
    """restart: the server takes it only when it starts."""
    statements = [f"ALTER SYSTEM SET {name} = '{value}'"]
    return Cure(
        text=text + (" The server takes it when it is started again." if restart else ""),
        statements=tuple(statements if restart else [*statements, "SELECT pg_reload_conf()"]),
        operation={"operation": "set_setting", "name": name, "value": value},
    )


def set_table_parameters(text: str, table: str, parameters: Mapping[str, str | int | float | bool | None]) -> Cure:
    """A parameter that is None goes back to the server's default."""
    given = {name: str(value).lower() for name, value in parameters.items() if value is not None}
    reset = [name for name, value in parameters.items() if value is None]
    statements = []
    if given:
        statements.append(f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in given.items())})")
    if reset:
        statements.append(f"ALTER TABLE {table} RESET ({', '.join(reset)})")
    # TOML has no null: what goes back is named.
    operation = {"operation": "set_table_parameters", "table": table, "parameters": given}
    return Cure(text=text, statements=tuple(statements), operation=operation | ({"reset": reset} if reset else {}))


def alter_sequence(text: str, sequence: str, *, type: str, maximum: int) -> Cure:
    return Cure(
        text=text,
        statements=(f"ALTER SEQUENCE {sequence} AS {type} MAXVALUE {maximum}",),
        operation={"operation": "alter_sequence", "sequence": sequence, "type": type, "maximum": maximum},
    )


def terminate(text: str, pids: Sequence[int]) -> Cure:
    """No operation: whom to end is for a person to say."""
    return Cure(text=text, statements=tuple(f"SELECT pg_terminate_backend({pid})" for pid in pids))


def advise_index(text: str) -> Cure:
    """What to index depends on the whole workload, so the advisor says."""
    return Cure(text=f"{text} `milepost doctor indexes` proposes one and proves it.")


def _plain(column: str) -> str:
    """Without the quotes: operations take a column's bare name."""
    return column[1:-1].replace('""', '"') if column.startswith('"') else column
