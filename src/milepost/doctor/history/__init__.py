"""What the doctor saw, kept: in a file of its own, or in a schema of the database that it looks at.

A look keeps its findings' ids, its score, statements' counters and sizes. By it a finding is new, standing, cured or come back, statements
are compared with before, and growth is forecast.
"""

from milepost.doctor.history.look import Look, look_of, states_of
from milepost.doctor.history.store import FileHistory, History, SchemaHistory

__all__ = ["FileHistory", "History", "Look", "SchemaHistory", "look_of", "states_of"]
