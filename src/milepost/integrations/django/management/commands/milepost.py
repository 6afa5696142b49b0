"""`manage.py milepost check | flush | backfill MODEL`: is milepost set up and reachable; deliver what waits; log rows that are there already.

Exit code 0 done, 1 it could not be done (with the reason on stderr).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from milepost.integrations.django import conf
from milepost.integrations.django.audit import audited
from milepost.integrations.django.backfill import backfill

__all__ = ["Command"]


class Command(BaseCommand):
    help = "Checks the connection to milepost, delivers what waits, logs the rows that are there already."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="what", required=True)
        check = commands.add_parser("check", help="settings, watched models, and whether the server takes this key")
        check.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
        flush = commands.add_parser("flush", help="waits until all that this host's spool holds is delivered")
        flush.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
        fill = commands.add_parser("backfill", help="logs each row of a model as created; again is as once")
        fill.add_argument("model", help="such as shop.Order; it must be registered")
        fill.add_argument("--time-field", help="the field that says when a row was made")
        fill.add_argument("--at", type=datetime.fromisoformat, help="the time of rows that have none, with its zone")
        fill.add_argument("--actor", default=None, help="else SYSTEM_ACTOR")
        fill.add_argument(
            "--batch", type=int, default=1_000, metavar="ROWS", help="rows that are delivered before the next are read"
        )
        fill.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one batch")
        fill.add_argument("--database", default="default")

    def handle(self, *, what: str, **options: Any) -> None:
        if what == "backfill":
            self._backfill(**options)
        elif what == "flush":
            self._flush(options["timeout"])
        else:
            self._check(options["timeout"])

    def _flush(self, timeout: float) -> None:
        if not conf.client().flush(timeout):
            raise CommandError(f"Not everything was delivered within {timeout:g} s; what waits stays in the spool.")
        self.stdout.write("Everything is delivered.")

    def _backfill(self, *, model: str, **options: Any) -> None:
        try:
            found = apps.get_model(model)
        except (LookupError, ValueError) as error:
            raise CommandError(str(error)) from error
        one = audited().get(found)
        if one is None:
            raise CommandError(f"{model} is not registered with milepost.")
        rows = 0
        for rows in backfill(
            one,
            time_field=options["time_field"],
            at=options["at"],
            actor=options["actor"],
            batch_rows=options["batch"],
            timeout_s=options["timeout"],
            using=options["database"],
        ):
            if options["verbosity"] > 0:
                self.stderr.write(f"{rows} rows")
        self.stdout.write(f"{rows} rows of {found._meta.label} are logged.")

    def _check(self, timeout: float) -> None:
        told = conf.settings()
        for one in audited().values():
            names = ", ".join([field.name for field in (*one.fields, *one.many)])
            self.stdout.write(f"{one.model._meta.label}: {names} → {', '.join(dict.fromkeys(one.verbs.values()))}")
        if not conf.sends():
            raise CommandError("Nothing is sent: " + ("ENABLED is False." if not told.enabled else "there is no URL."))
        url, key = conf.place()
        # No activity at all: the answer tells whether the key may write.
        asked = Request(f"{url}/v1/activities", b'{"activities": []}', {"Authorization": f"Bearer {key}"}, method="POST")
        asked.add_header("Content-Type", "application/json")
        try:
            with urlopen(asked, timeout=timeout) as answer:
                answer.read()
        except HTTPError as error:
            with error:
                raise CommandError(f"{url} answers {error.code}: {_detail(error.read())}") from error
        except (URLError, OSError) as error:
            raise CommandError(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from error
        self.stdout.write(f"{url} takes activities.")


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200]
