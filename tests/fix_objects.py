"""Object stores for tests, each a server on this machine.

- `s3`: the port of a server of S3 that enforces conditional writes (moto; it accepts any secret), with the bucket `milepost`.
- `strict_s3`: the port of one that refuses a wrong secret (rclone).
- `azure`: the port of a server of Azure's blobs (Azurite, which `make stores` fetches; it refuses a wrong key), with the container `milepost`.
- `gcs`: the port of a server of Google's, of our own making (`gcs_server`), with the bucket `milepost`; it refuses a wrong key.

`buckets.s3_url`, `azure_url` and `gcs_url` are the settings that lead to them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from buckets import AZURE_ACCOUNT, AZURE_KEY, BUCKET, KEY, SECRET
from gcs_server import GcsServer

AZURITE = Path(__file__).parents[1] / ".azurite" / "node_modules" / ".bin" / "azurite-blob"


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


@pytest.fixture(scope="session")
def azure() -> Iterator[int]:
    program = AZURITE if AZURITE.exists() else shutil.which("azurite-blob")
    if program is None or shutil.which("node") is None:
        pytest.skip("there is no Azurite here (`make stores` fetches it), or no node")
    command = [program, "--blobPort", "0", "--inMemoryPersistence", "--silent", "--disableTelemetry"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if "successfully listens on http://127.0.0.1:" in line:
                break
        else:
            pytest.fail("Azurite did not start: " + "".join(said))
        port = int(said[-1].rpartition(":")[2])
        try:
            _make_container(port)
            yield port
        finally:
            running.kill()


@pytest.fixture(scope="session")
def gcs() -> Iterator[int]:
    with GcsServer(BUCKET) as running:
        yield running.port


def _make_container(port: int) -> None:
    """A request as the service wants it signed (Microsoft, Authorize with Shared Key)."""
    headers = {"x-ms-date": f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT", "x-ms-version": "2021-08-06"}
    of_headers = "".join(f"{name}:{value}\n" for name, value in headers.items())
    signed = "PUT" + "\n" * 12 + f"{of_headers}/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), signed.encode(), hashlib.sha256)).decode()
    httpx.put(
        f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}/{BUCKET}",
        params={"restype": "container"},
        headers=headers | {"Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}"},
    ).raise_for_status()
