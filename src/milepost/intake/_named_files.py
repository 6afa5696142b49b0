"""The files that activities name: how they say it, whether they may, and what of it goes with their rows.

    "files": {"scan": ["TICKET", …]}

A ticket says that its file is complete, and of which tenant, verb and name it is, so that intake need not ask PostgreSQL (`milepost.storage.tickets`).
Where there is nobody to read tickets (a correction, a replay), an id will do, and whoever loads looks for the file. Most activities name
none: theirs is not looked at, and a model without files costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from milepost.errors import FieldError
from milepost.intake._storable import escape
from milepost.model import Verb
from milepost.storage.tickets import TICKET_CHARACTERS, Tickets, file_of, ticket_of

__all__ = ["Named", "NamedFiles", "files_struct", "named_in"]

# Of one row: by name, files as hexadecimal digits.
Named = dict[str, list[str]]

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TICKET_CHARACTERS)]


def files_struct(verb: Verb) -> type[msgspec.Struct]:
    fields = [
        (rule.name, Annotated[list[_Text], msgspec.Meta(max_length=rule.most)] | None, None) for rule in verb.files.values()
    ]
    return msgspec.defstruct(f"Files_{verb.name}", fields, forbid_unknown_fields=True, gc=False)


class NamedFiles:
    """Of one model: verbs by the structs of their activities. tickets None: what is named is looked for when it is loaded."""

    def __init__(self, verbs: Mapping[Any, Verb], tickets: Tickets | None) -> None:
        self._verbs = {struct: verb for struct, verb in verbs.items() if verb.files}
        self._tickets = tickets

    def __bool__(self) -> bool:
        return bool(self._verbs)

    def checked(self, tenant_id: int, items: list[Any], now: datetime) -> Iterator[tuple[Any, Sequence[FieldError]]]:
        """Each item with what is wrong with the files that it names. `files` of those with which nothing is wrong become `Named`."""
        moment = now.timestamp()
        for item in items:
            verb = self._verbs.get(type(item))
            wrong: Sequence[FieldError] = ()
            if verb is not None and item.files is not None:
                item.files, wrong = self._named(tenant_id, verb, item.files, moment)
            yield item, wrong

    def _named(self, tenant_id: int, verb: Verb, files: Any, now: float) -> tuple[Named | None, Sequence[FieldError]]:
        named: Named = {}
        wrong: list[FieldError] = []
        seen: set[str] = set()
        for name in verb.files:
            for place, text in enumerate(getattr(files, name) or ()):
                ticket = ticket_of(text)
                file = file_of(text, ticket)
                detail = self._refusal(tenant_id, verb, name, ticket, now) if file else "is neither a file's ticket nor its id"
                if file in seen:
                    detail = "is named twice"
                if detail is not None or file is None:
                    wrong.append(FieldError(f"/files/{escape(name)}/{place}", str(detail)))
                    continue
                seen.add(file)
                named.setdefault(name, []).append(file)
        return named or None, wrong

    def _refusal(self, tenant_id: int, verb: Verb, name: str, ticket: bytes, now: float) -> str | None:
        return None if self._tickets is None else self._tickets.refusal(tenant_id, verb.name, name, ticket, now)


def named_in(rows: Mapping[int, Named]) -> Iterator[tuple[int, str, int, UUID]]:
    """Row, name, place, file. Raises `ValueError` for what is none: a payload may be an app's own."""
    for row, named in rows.items():
        for name, files in named.items():
            for place, digits in enumerate(files):
                yield row, name, place, UUID(hex=digits)
