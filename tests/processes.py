"""The program as a process of its own, and what it sees of this one's environment."""

from __future__ import annotations

import os
import subprocess
import sys

__all__ = ["environment", "program"]


def environment(**given: str) -> dict[str, str]:
    """This process's environment without its settings, and with those given, in our prefix."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST_")}
    return kept | {f"MILEPOST_{name.upper()}": value for name, value in given.items()}


def program(*words: object, **settings: str) -> subprocess.Popen[str]:
    """`milepost WORDS` as a process, with pipes; whoever starts it ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "milepost", *(str(word) for word in words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**settings),
    )
