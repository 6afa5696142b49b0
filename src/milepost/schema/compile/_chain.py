"""The chain's form of an activity: the text of which a digest is taken, made alike of a row in PostgreSQL and of one from the archive.

A JSON array, so that no value can pass for another, with names in the place of numbers: whoever gave an actor's number another name would
change the activity. Measures stand by name, without those it has not, so that a model may add some. A content is a line of its own: its
SHA-256 where it is in the row, and where it is in the object store the digest that it is found by; so no form needs an object to be
fetched. Columns that are filled from `data` (d_NAME) are not in it, nor is what is derived.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["chain_content", "chain_form"]


def _us(moment: str) -> str:
    return f"(extract(epoch FROM {moment}) * 1000000)::bigint"


def _looked_up(entity: str, number: str) -> str:
    key = "actor_id" if entity == "actor" else "group_id"
    return f"(SELECT n.external_id FROM milepost.{entity} n WHERE n.tenant_id = %(tenant_id)s AND n.{key} = {number})"


def _given(entity: str, number: str) -> str:
    return f"(%({entity}_names)s::jsonb ->> {number}::text)"


def chain_form(columns: Iterable[str], *, given: bool = False) -> str:
    """Of an activity `a`; `%(files)s`: whether some may name files. columns: every m_ and d_ column of the activity table. given: who runs it has the names, by number, and so saves
    two looks into tables for each activity, which are as much work as all the rest."""
    name = _given if given else _looked_up
    measures = ", ".join(f"'{column.removeprefix('m_')}=' || a.{column}" for column in sorted(columns) if column[:2] == "m_")
    others = (
        f"CASE WHEN a.more_groups IS NOT NULL THEN (SELECT json_agg({name('groups', 'm.group_id')} ORDER BY m.nth)"
        " FROM unnest(a.more_groups) WITH ORDINALITY AS m (group_id, nth)) END"
    )
    values = (
        "a.id",
        "a.version",
        "a.public_id",
        _us("a.occurred_at"),
        _us("a.received_at"),
        name("actor", "a.actor_id"),
        "a.verb",
        "a.object_kind",
        "a.object_id",
        name("groups", "a.group_id"),
        others,
        "a.audience",
        "a.source",
        "a.status",
        "a.key",
        f"concat_ws(' ', {measures})" if measures else "''",
        "a.data",
        "CASE WHEN %(files)s THEN (SELECT json_agg(json_build_array(f.name, f.place, f.file_id) ORDER BY f.name, f.place, f.file_id)"
        " FROM milepost.activity_file f WHERE f.tenant_id = %(tenant_id)s AND f.id = a.id AND f.place IS NOT NULL) END",
    )
    return f"json_build_array({', '.join(values)})::text"


def chain_content() -> str:
    """Of an activity `a`: '' for none. `%(kept)s`: whether some may have theirs in the object store."""
    return (
        "CASE WHEN a.content IS NOT NULL THEN 'sha256 ' || encode(sha256(convert_to(a.content::text, 'UTF8')), 'hex')"
        " WHEN %(kept)s THEN coalesce((SELECT 'blake2b ' || encode(u.digest, 'hex') FROM milepost.activity_content u"
        " WHERE u.tenant_id = %(tenant_id)s AND u.id = a.id), '') ELSE '' END"
    )
