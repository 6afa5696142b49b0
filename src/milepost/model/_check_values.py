"""What a list of verbs offers to compute with, and whether a value or a key asks for something that is there.

A mistake is named once: where a verb is itself unknown, its measures are taken to be those of the whole
model.
"""

from __future__ import annotations

from typing import Final

from milepost.model._lines import Path
from milepost.model._phrases import Unreadable, number_of_units
from milepost.model._problems import Notes, nearest_word, quoted
from milepost.model._types import Field, Measure, Model, Value, Verb

__all__ = ["ROLLUP_KEYS", "Offer", "check_verbs"]

ROLLUP_KEYS: Final = ("tenant", "group", "actor", "verb", "object", "source", "status")
_DISTINCT: Final = ("actor", "group", "object", "source")


def check_verbs(model: Model, notes: Notes, path: Path, verbs: tuple[str, ...]) -> None:
    """Each verb of the list at `path` is declared."""
    for position, verb in enumerate(verbs):
        if verb and verb not in model.verbs:
            near = nearest_word(verb, model.verbs)
            notes.add((*path, position), "unknown-verb", f"no verb is called {quoted(verb)}", near)


class Offer:
    """The measures and data fields of some verbs."""

    def __init__(self, model: Model, notes: Notes, verbs: tuple[str, ...]) -> None:
        self._model = model
        self._notes = notes
        every_known = bool(verbs) and all(verb in model.verbs for verb in verbs)
        self._verbs: list[Verb] = [verb for verb in model.verbs.values() if not every_known or verb.name in verbs]
        self.measures: dict[str, Measure] = {name: measure for verb in self._verbs for name, measure in verb.measures.items()}
        self.fields: dict[str, Field] = {name: field for verb in self._verbs for name, field in verb.data.items()}

    def check_value(self, path: Path, value: Value) -> None:
        if not value.text:
            return
        if value.function == "distinct":
            self.check_key(path, value.arguments[0], _DISTINCT, "can be counted as distinct")
            return
        known = [self.check_measure(path, argument) for argument in value.arguments]
        together = any(set(value.arguments) <= verb.measures.keys() for verb in self._verbs)
        if value.function == "weighted_avg" and all(known) and not together:
            message = f"no verb here has both {value.arguments[0]} and {value.arguments[1]}"
            self._notes.add(path, "measures-apart", message)
        if value.function == "share" and known[0] and value.threshold is not None:
            try:
                number_of_units(value.threshold, self.measures[value.arguments[0]].scale)
            except Unreadable as error:
                self._notes.add(path, "bad-number", str(error))

    def check_measure(self, path: Path, name: str) -> bool:
        """A measure of one of the verbs."""
        if name in self.measures:
            return True
        field = name.removeprefix("data.")
        owners = [verb.name for verb in self._model.verbs.values() if name in verb.measures]
        if owners:
            message = f"{quoted(name)} is a measure of {', '.join(owners)}, which `of` does not name"
            near = nearest_word(name, self.measures)
        elif field in self.fields and field not in self.measures:
            message = f"{quoted(field)} is a data field, and only measures can be computed with"
            near = nearest_word(field, self.measures)
        else:
            message = f"no verb here has a measure {quoted(name)}"
            near = nearest_word(name.rpartition(".")[2], self.measures)
        self._notes.add(path, "unknown-measure", message, near)
        return False

    def check_key(self, path: Path, key: str, words: tuple[str, ...], purpose: str) -> None:
        """One of `words`, or `data.NAME` of one of the verbs."""
        if not key or key in words:
            return
        if key.startswith("data."):
            self.check_field(path, key)
        elif key in self.fields:
            message = f"{quoted(key)} is a data field; written bare it could be mistaken for a word of milepost's own"
            self._notes.add(path, "unknown-word", message, f"data.{key}")
        elif key == "ancestors" and "group" in words:
            message = "ancestors of a group count by themselves; `ancestors = false` turns that off"
            self._notes.add(path, "unknown-word", message, "group")
        else:
            known = (*words, *(f"data.{name}" for name in self.fields))
            message = f"{quoted(key)} is nothing that {purpose}: {', '.join(words)}, data.NAME"
            self._notes.add(path, "unknown-word", message, nearest_word(key, known))

    def check_field(self, path: Path, reference: str) -> None:
        """`data.NAME`, declared by one of the verbs."""
        name = reference.removeprefix("data.")
        if name in self.fields:
            return
        owners = [verb.name for verb in self._model.verbs.values() if name in verb.data]
        if name in self.measures:
            message = f"{quoted(name)} is a measure, not a data field"
        elif owners:
            message = f"{quoted(name)} is a data field of {', '.join(owners)}, which `of` does not name"
        else:
            message = f"no verb here declares a data field {quoted(name)}"
        near = nearest_word(name, self.fields)
        self._notes.add(path, "unknown-field", message, None if near is None else f"data.{near}")
