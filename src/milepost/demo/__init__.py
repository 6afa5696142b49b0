"""Demo: one of the four systems with a sample of plausible data, served, and with new activities coming in.

The models are those of `examples/` (the files in `models/` are links to them, and files in an installed package). The sample is
made by a seeded generator, so it is the same every time, and goes the way that everything goes: accepted, queued, loaded.
"""

from importlib.resources import files

__all__ = ["SYSTEMS", "model_text"]

SYSTEMS = ("fitness", "research", "classroom", "audit")


def model_text(system: str) -> str:
    """The model of one of `SYSTEMS`, as TOML."""
    assert system in SYSTEMS, system
    return files(__package__).joinpath("models", f"{system}.toml").read_text(encoding="utf-8")
