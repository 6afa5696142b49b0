"""PostgreSQL: the only package that imports the driver.

- `Database`: pools for each class of query, dedicated connections, transactions with their tenant.
- `EmbeddedServer`: a server of our own in a data folder; `find_bin` says from which programs.
- `load_queries`: named queries from `.sql` files.
- `translated`, `translate`: the driver's errors as milepost's; `is_closed`, `is_transient`, `retrying`: what to do
  again. `answered`: for those who cannot wait for a server that hangs.
- `Listener`, `notify`: hints between sessions. `advisory_lock`: one at a time.
- `with_database`, `client_environment`: of a connection string, another database, and the variables of client programs.
- `sql`, `Jsonb`, `JsonText`, `dict_row`, …: what callers need of the driver, so that they need not import it.
"""

from psycopg import AsyncCopy, AsyncCursor, sql
from psycopg.rows import class_row, dict_row, scalar_row, tuple_row
from psycopg.types.json import Jsonb

from milepost.postgres._answered import answered
from milepost.postgres._binaries import find_bin, major_version
from milepost.postgres._database import SERVICE_ROLE, AnyConnection, Connection, Database, QueryClass, SyncConnection
from milepost.postgres._embedded import EmbeddedServer
from milepost.postgres._errors import is_closed, is_transient, translate, translated
from milepost.postgres._json import JsonText
from milepost.postgres._listen import Hint, Listener, notify
from milepost.postgres._lock import advisory_lock
from milepost.postgres._queries import Queries, QueryFileError, load_queries
from milepost.postgres._retry import backoff_s, retrying
from milepost.postgres._urls import client_environment, with_database

__all__ = [
    "SERVICE_ROLE",
    "AnyConnection",
    "AsyncCopy",
    "AsyncCursor",
    "Connection",
    "Database",
    "EmbeddedServer",
    "Hint",
    "JsonText",
    "Jsonb",
    "Listener",
    "Queries",
    "QueryClass",
    "QueryFileError",
    "SyncConnection",
    "advisory_lock",
    "answered",
    "backoff_s",
    "class_row",
    "client_environment",
    "dict_row",
    "find_bin",
    "is_closed",
    "is_transient",
    "load_queries",
    "major_version",
    "notify",
    "retrying",
    "scalar_row",
    "sql",
    "translate",
    "translated",
    "tuple_row",
    "with_database",
]
