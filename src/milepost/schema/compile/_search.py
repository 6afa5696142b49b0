"""What is searched: of an activity `s`, the words of its search document, and how its text is shown with what was found.

A document's words are a tsvector: those of declared fields in each field's own language, with weight A, and, where the verb
says `search_data`, those of every text and number in `data`, with weight D. So a word counts more where it was declared.

No expression here fails, whatever lies in `data`: a tsvector has at most a mebibyte, so of long texts only the first
`CHARACTERS_MAX` characters are searched, shared out among the fields of a verb.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from milepost.model import Model, Verb

__all__ = ["EVERYTHING_IN_DATA", "CompiledSearch", "compile_search"]

CHARACTERS_MAX = 65_536
FORM = 1  # of documents: another one makes every index anew
EVERYTHING_IN_DATA = ""  # in place of a field's name

# Bounds that ts_headline takes, and marks that no text is likely to hold: what is between them becomes <mark> when all else is escaped.
MARKS = ("\ue000", "\ue001")
HEADLINE = f"StartSel={MARKS[0]}, StopSel={MARKS[1]}, MaxWords=35, MinWords=15"


@dataclass(frozen=True, kw_only=True)
class CompiledSearch:
    """configurations: PostgreSQL's names of the languages in use; a query is read in each. fingerprint: changes with the documents."""

    verbs: tuple[str, ...]
    configurations: tuple[str, ...]
    fingerprint: str
    words: str  # an expression on activities as `s`: the document's words
    headlines: str  # likewise: an object of fields (or all of `data` as ''), with the queries `query_CONFIGURATION`
    verify: str  # documents from `low` on, below `high`, against the activities


def compile_search(model: Model) -> CompiledSearch | None:
    """None: no verb is searched."""
    # By name, so that their order in the model makes no other index.
    named = sorted(model.verbs.values(), key=lambda verb: verb.name)
    searched = [verb for verb in named if verb.search_data or _by_configuration(verb)]
    if not searched:
        return None
    configurations = {name for verb in searched for name in _by_configuration(verb)}
    configurations |= {verb.search_data for verb in searched if verb.search_data}
    verbs = tuple(verb.name for verb in searched)
    words = _by_verb(searched, _words)
    fingerprint = sha256(f"{FORM} {words}".encode()).hexdigest()[:16]
    return CompiledSearch(
        verbs=verbs,
        configurations=tuple(sorted(configurations)),
        fingerprint=fingerprint,
        words=words,
        headlines=_by_verb(searched, _headlines),
        verify=_VERIFY.format(words=words, verbs=_literals(verbs), fingerprint=fingerprint),
    )


def _by_verb(verbs: list[Verb], expression: Callable[[Verb], str]) -> str:
    """Verbs that have one expression share it: a model may have many that are searched alike."""
    alike: dict[str, list[str]] = defaultdict(list)
    for verb in verbs:
        alike[expression(verb)].append(verb.name)
    cases = (f"WHEN s.verb IN ({_literals(names)}) THEN {text}" for text, names in alike.items())
    return f"CASE {' '.join(cases)} END"


def _by_configuration(verb: Verb) -> dict[str, list[str]]:
    """configuration → the fields that are searched in it."""
    fields: dict[str, list[str]] = defaultdict(list)
    for name, declared in sorted(verb.data.items()):
        if declared.search is not None:
            fields[declared.search].append(name)
    return dict(sorted(fields.items()))


def _words(verb: Verb) -> str:
    by_configuration = _by_configuration(verb)
    each = CHARACTERS_MAX // max(1, sum(map(len, by_configuration.values())))
    parts = []
    for configuration, names in by_configuration.items():
        # As values of an array, so that a phrase does not go on from one field into the next.
        texts = ", ".join(f"left(s.data->>'{name}', {each})" for name in names)
        parts.append(f"setweight(jsonb_to_tsvector({_named(configuration)}, jsonb_build_array({texts}), '[\"string\"]'), 'A')")
    if verb.search_data is not None:
        language = _named(verb.search_data)
        parts.append(
            f'CASE WHEN length(s.data::text) <= {CHARACTERS_MAX} THEN jsonb_to_tsvector({language}, s.data, \'["string", "numeric"]\')'
            f" ELSE to_tsvector({language}, left(s.data::text, {CHARACTERS_MAX})) END"
        )
    return " || ".join(f"coalesce({part}, '')" for part in parts)


def _headlines(verb: Verb) -> str:
    shown = [
        f"'{name}', ts_headline({_named(configuration)}, left(s.data->>'{name}', {CHARACTERS_MAX}),"
        f" %(query_{configuration})s::tsquery, '{HEADLINE}')"
        for configuration, names in _by_configuration(verb).items()
        for name in names
    ]
    if verb.search_data is not None:
        shown.append(
            f"'{EVERYTHING_IN_DATA}', CASE WHEN length(s.data::text) <= {CHARACTERS_MAX} THEN"
            f" ts_headline({_named(verb.search_data)}, s.data, %(query_{verb.search_data})s::tsquery, '{HEADLINE}') END"
        )
    return f"jsonb_build_object({', '.join(shown)})"


def _literals(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)  # names of a model are identifiers


def _named(configuration: str) -> str:
    return f"'pg_catalog.{configuration}'::regconfig"


# Only what the index covers as this model wants it, and only up to its position: what the journal names beyond that may differ.
_VERIFY = """WITH reached AS (
    SELECT position, filled_to FROM milepost.search_progress
    WHERE tenant_id = %(tenant_id)s AND fingerprint = '{fingerprint}'
), ahead AS MATERIALIZED (
    SELECT DISTINCT unnest(j.ids) AS id
    FROM milepost.journal j, reached r WHERE j.tenant_id = %(tenant_id)s AND j.position > r.position
)
SELECT jsonb_build_object('id', id), 'search', NULL::timestamp,
    CASE WHEN d.version IS NOT NULL THEN jsonb_build_object('version', d.version, 'words', d.words::text) END,
    CASE WHEN a.version IS NOT NULL THEN jsonb_build_object('version', a.version, 'words', a.words::text) END
FROM (
    SELECT id, version, words FROM milepost.search_document
    WHERE tenant_id = %(tenant_id)s AND id >= %(low)s AND id < %(high)s
) d FULL JOIN (
    SELECT id, version, words FROM (
        SELECT s.id, s.version, {words} AS words FROM milepost.activity s
        WHERE s.tenant_id = %(tenant_id)s AND s.id >= %(low)s AND s.id < %(high)s AND s.verb IN ({verbs})
    ) s WHERE words <> ''
) a USING (id)
WHERE (d.version, d.words) IS DISTINCT FROM (a.version, a.words)
  AND id >= (SELECT filled_to FROM reached) AND id NOT IN (SELECT id FROM ahead)"""
