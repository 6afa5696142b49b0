"""`milepost serve` as a process: it brings up what it may, refuses the rest with a sentence, and stops cleanly."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from milepost.demo import model_text
from processes import program

STOP_S = 60


@contextmanager
def serving(*words: object, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and its address."""
    with program("serve", "--port", "0", "--log-level", "warning", *words, **settings) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said.startswith("serving http"):
                assert process.stderr is not None
                pytest.fail(f"the server ended: {said}{process.stderr.read()}")
            yield process, said.split()[1]
        finally:
            process.terminate()
            process.communicate(timeout=STOP_S)


def status_of(address: str, path: str) -> int:
    try:
        with urlopen(address + path) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_from_an_empty_folder(tmp_path: Path) -> None:
    """With a model file and nothing else there is a PostgreSQL, a schema, the model and an address; SIGTERM ends all of it."""
    model = tmp_path / "model.toml"
    model.write_text(model_text("fitness"), encoding="utf-8")
    with serving("--model", model, data_dir=str(tmp_path / "data")) as (process, address):
        assert status_of(address, "/healthz") == 200
        deadline = monotonic() + STOP_S
        while status_of(address, "/readyz") != 200:  # until a loader has taken each lane
            assert monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=STOP_S)
    assert (process.returncode, complaint) == (0, "")
    assert not (tmp_path / "data" / "postgres" / "data" / "postmaster.pid").exists()


def test_several_workers(template_url: str, tmp_path: Path) -> None:
    """All serve one address; Ctrl-C ends them all."""
    with serving("--workers", 2, database_url=template_url, data_dir=str(tmp_path)) as (process, address):
        assert [status_of(address, "/healthz") for _ in range(4)] == [200] * 4
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_S)
    assert process.returncode == 0


def test_a_schema_that_does_not_fit(database_url: str, tmp_path: Path) -> None:
    """On somebody else's PostgreSQL nothing is migrated: exit code 3, and what to run."""
    with program("serve", "--port", "0", database_url=database_url, data_dir=str(tmp_path)) as process:
        out, complaint = process.communicate(timeout=STOP_S)
    assert (process.returncode, out) == (3, "")
    assert complaint.splitlines()[-1].endswith("run `milepost db migrate`.")


def test_a_model_with_mistakes(template_url: str, tmp_path: Path) -> None:
    """Is not served: exit code 1, and each mistake."""
    model = tmp_path / "model.toml"
    model.write_text('name = "x"\n', encoding="utf-8")
    given = {"database_url": template_url, "data_dir": str(tmp_path), "model": str(model)}
    with program("serve", "--port", "0", **given) as process:
        _, complaint = process.communicate(timeout=STOP_S)
    assert process.returncode == 1
    assert "missing-key" in complaint
