"""Object stores for tests, each a real server on this machine.

- `s3`: the port of a server of S3 that enforces conditional writes (moto; it accepts any secret), with the bucket `milepost`.
- `strict_s3`: the port of one that refuses a wrong secret (rclone).

`buckets.s3_url` is the setting that leads to one of them.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from buckets import BUCKET, KEY, SECRET


@pytest.fixture(scope="session")
def s3() -> Iterator[int]:
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    _, port = running.get_host_and_port()
    httpx.put(f"http://127.0.0.1:{port}/{BUCKET}", timeout=60).raise_for_status()  # it imports a lot at its first request
    yield port
    running.stop()


@pytest.fixture
def strict_s3(tmp_path: Path) -> Iterator[int]:
    program = Path(sys.executable).parent / "rclone"
    if not program.exists() and shutil.which("rclone") is None:
        pytest.skip("there is no rclone here")
    (tmp_path / "served" / BUCKET).mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [program if program.exists() else "rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null", str(tmp_path / "served")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:  # it says where it listens once it does
            if "Starting s3 server" in line or "http://127.0.0.1" in line:
                break
        try:
            yield port
        finally:
            running.kill()
