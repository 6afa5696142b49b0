"""Uploading a file: the server is asked for a place, the file goes there (past the server, where that is a bucket), the server looks at it.

Unlike `log` it waits, and raises what went wrong: whoever uploads needs the ticket to go on. Nothing of it is kept for later. The file is read in
pieces, twice: its SHA-256 goes with the question, so that what arrives is what was read.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from milepost.client.settings import ClientSettings
from milepost.errors import FieldError, InvalidInput, MilepostError

__all__ = ["UploadFailed", "upload"]

ANSWER_BYTES_MAX = 1024 * 1024
AGENT = "milepost-python"
LOOK_S = 900.0  # a store may copy gigabytes meanwhile


class UploadFailed(MilepostError):
    """The file could not be uploaded."""


def upload(settings: ClientSettings, file: Path, verb: str, name: str, media_type: str | None) -> str:
    """→ a ticket. Raises `InvalidInput` with the fields that are not as the model wants them, `UploadFailed`, and `OSError` of the file."""
    size, digest = file.stat().st_size, _sha256(file)
    guessed = media_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    asked = {"verb": verb, "name": name, "type": guessed, "bytes": size, "sha256": digest, "filename": file.name}
    place = _ask(settings, "/v1/files", asked)
    with file.open("rb") as opened:
        headers = {**place["upload"]["headers"], "Content-Length": str(size), "User-Agent": AGENT}
        url = place["upload"]["url"]
        _request("PUT", settings.url + url if url.startswith("/") else url, opened, headers, settings.timeout_s)
    return str(_ask(settings, f"/v1/files/{place['id']}/complete", None, timeout_s=LOOK_S)["ticket"])


def _ask(settings: ClientSettings, path: str, body: Any, *, timeout_s: float | None = None) -> Any:
    headers = {"Authorization": f"Bearer {settings.key}", "Content-Type": "application/json", "User-Agent": AGENT}
    data = b"" if body is None else json.dumps(body).encode()
    answered = _request("POST", settings.url + path, data, headers, timeout_s or settings.timeout_s)
    try:
        return json.loads(answered)
    except ValueError as error:
        raise UploadFailed(f"{settings.url} is no milepost: it answered no JSON.") from error


def _request(method: str, url: str, body: Any, headers: dict[str, str], timeout_s: float) -> bytes:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        HTTPSConnection(host, parts.port, timeout=timeout_s, context=ssl.create_default_context())
        if parts.scheme == "https"
        else HTTPConnection(host, parts.port, timeout=timeout_s)
    )
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        response = connection.getresponse()
        content = response.read(ANSWER_BYTES_MAX)
    except (OSError, HTTPException) as error:
        raise UploadFailed(f"{parts.netloc} did not take it: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise _problem(response.status, content, parts.netloc)
    return content


def _problem(status: int, content: bytes, where: str) -> MilepostError:
    try:
        said = json.loads(content)
        fields = tuple(FieldError(one["pointer"], one["detail"]) for one in said.get("errors", ()))
        detail = str(said["detail"])
    except (ValueError, KeyError, TypeError, AttributeError):  # a bucket's, or a proxy's
        return UploadFailed(f"{where} answered {status}: {content[:200].decode(errors='replace')}", status=status)
    return InvalidInput(detail, errors=fields) if fields else UploadFailed(detail, status=status)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
