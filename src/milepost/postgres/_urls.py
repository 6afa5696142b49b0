"""What else is needed of a connection string: the same server's other database, and the environment of its client programs."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

__all__ = ["client_environment", "with_database"]


def with_database(url: str, dbname: str) -> str:
    """The same place, user and password, another database."""
    return make_conninfo(url, dbname=dbname)


def client_environment(url: str) -> dict[str, str]:
    """The PG* variables by which `pg_dump` or `psql` finds it: in an argument, everybody on the machine could read the password."""
    variables = {option.keyword.decode(): option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar}
    return {
        variables[key]: str(value) for key, value in conninfo_to_dict(url).items() if key in variables and value is not None
    }
