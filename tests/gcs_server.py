"""A server of Google Cloud Storage's XML API, as far as `milepost.storage.objects` uses it, for there is none to be had.

Written from Google's reference (XML API; Multipart uploads; V4 signing process; Authorizing with a self-signed JWT). It refuses what the
service refuses: a token or a URL that the service account did not sign or that ran out, a part of less than 5 MiB that is not the last, a write
whose `x-goog-if-generation-match` does not hold. Objects are in memory.

    with GcsServer("milepost") as server:
        key = service_account(account_key(), server.port)
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["GcsServer", "account_key", "service_account"]

ACCOUNT = "tests@milepost.iam.gserviceaccount.com"
PART_BYTES_MIN = 5 * 1024 * 1024
PAGE = 1000  # objects of a listing
HOST = "storage.googleapis.com"  # who signs a URL signs it for the service, wherever that is reached
SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/devstorage.read_write")
KEPT_HEADERS = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language")


@cache
def account_key() -> rsa.RSAPrivateKey:
    """The one that the servers of this process know."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_account(key: rsa.RSAPrivateKey, port: int) -> str:
    """As the service's console hands it out, with where the service is."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps(
        {
            "type": "service_account",
            "client_email": ACCOUNT,
            "private_key_id": "1",
            "private_key": pem.decode(),
            "gcs_base_url": f"http://127.0.0.1:{port}",
        }
    )


@dataclass(frozen=True)
class _Object:
    data: bytes
    headers: Mapping[str, str]
    generation: int
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def etag(self) -> str:
        return _etag(self.data)


@dataclass
class _Upload:
    path: str
    headers: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class GcsServer:
    """port: of 127.0.0.1."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.objects: dict[str, _Object] = {}
        self.uploads: dict[str, _Upload] = {}
        self.lock = threading.Lock()
        self.generations = 0
        self.public = account_key().public_key()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": self}))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def write(self, path: str, data: bytes, headers: Mapping[str, str], *, generation: str | None) -> _Object:
        """generation: which the object there must have; '0': there must be none."""
        with self.lock:
            there = self.objects.get(path)
            if generation is not None and int(generation) != (there.generation if there else 0):
                raise _Refused(412, "PreconditionFailed")
            self.generations += 1
            written = self.objects[path] = _Object(data, headers, self.generations)
            return written


class _Handler(BaseHTTPRequestHandler):
    store: GcsServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bucket, _, self.object = unquote(parts.path).lstrip("/").partition("/")
        try:
            self._authorize(parts.path)
            if bucket != self.store.bucket:
                raise _Refused(404, "NoSuchBucket")
            self._action()()
        except _Refused as error:
            self._answer(error.status, f"<Error><Code>{error.code}</Code></Error>".encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _action(self) -> Callable[[], None]:
        match self.command:
            case "GET" if not self.object:
                return self._list
            case "GET" | "HEAD":
                return self._read
            case "PUT" if "uploadId" in self.query:
                return self._put_part
            case "PUT":
                return self._put
            case "POST" if "uploads" in self.query:
                return self._begin_upload
            case "POST" if "uploadId" in self.query:
                return self._complete_upload
            case "DELETE":
                return self._delete
        raise _Refused(400, "InvalidArgument")

    # ── who may ──

    def _authorize(self, raw_path: str) -> None:
        if "X-Goog-Signature" in self.query:
            self._check_signature(raw_path)
            return
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise _Refused(401, "AuthenticationRequired")
        try:
            claims = jwt.decode(token, self.store.public, algorithms=["RS256"], options={"verify_aud": False})
        except jwt.InvalidTokenError as error:
            raise _Refused(401, "InvalidToken") from error
        if claims.get("iss") != ACCOUNT or claims.get("scope") not in SCOPES:
            raise _Refused(401, "InvalidToken")

    def _check_signature(self, raw_path: str) -> None:
        account, _, scope = self.query["X-Goog-Credential"].partition("/")
        begins = datetime.strptime(self.query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) >= begins + timedelta(seconds=int(self.query["X-Goog-Expires"])):
            raise _Refused(400, "ExpiredToken")
        signed = self.query["X-Goog-SignedHeaders"].split(";")
        if "host" not in signed or account != ACCOUNT:
            raise _Refused(403, "SignatureDoesNotMatch")
        given = sorted(
            (quote(name, safe=""), quote(value, safe="")) for name, value in self.query.items() if name != "X-Goog-Signature"
        )
        canonical = "\n".join(
            [
                self.command,
                raw_path,
                "&".join(f"{name}={value}" for name, value in given),
                *(f"{name}:{HOST if name == 'host' else self.headers.get(name, '').strip()}" for name in signed),
                "",
                ";".join(signed),
                "UNSIGNED-PAYLOAD",
            ]
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(["GOOG4-RSA-SHA256", self.query["X-Goog-Date"], scope, digest])
        try:
            signature = bytes.fromhex(self.query["X-Goog-Signature"])
            self.store.public.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError) as error:
            raise _Refused(403, "SignatureDoesNotMatch") from error

    # ── objects ──

    def _found(self, path: str) -> _Object:
        found = self.store.objects.get(path)
        if found is None:
            raise _Refused(404, "NoSuchKey")
        return found

    def _read(self) -> None:
        found = self._found(self.object)
        data, status = found.data, 200
        headers: dict[str, str] = {}
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            if start >= len(data):
                raise _Refused(416, "InvalidRange")
            data, status = data[start : last + 1], 206
            headers["Content-Range"] = f"bytes {start}-{last}/{len(found.data)}"
        self._answer(status, data, {**headers, **found.headers, **_described(found)})

    def _put(self) -> None:
        if source := self.headers.get("x-goog-copy-source"):
            copied = self._found(unquote(source).removeprefix("/").partition("/")[2])
            self._write(self.object, copied.data, copied.headers)
            self._answer(200, b"<CopyObjectResult></CopyObjectResult>")
            return
        if "Content-Length" not in self.headers:
            raise _Refused(411, "MissingContentLength")
        self._answer(200, b"", _described(self._write(self.object, self.body, self._kept())))

    def _write(self, path: str, data: bytes, headers: Mapping[str, str]) -> _Object:
        return self.store.write(path, data, headers, generation=self.headers.get("x-goog-if-generation-match"))

    def _kept(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.lower() in KEPT_HEADERS}

    def _delete(self) -> None:
        if "uploadId" in self.query:
            self.store.uploads.pop(self.query["uploadId"], None)
        else:
            self._found(self.object)
            del self.store.objects[self.object]
        self._answer(204, b"")

    def _list(self) -> None:
        if self.query.get("list-type") != "2":
            raise _Refused(400, "InvalidArgument")
        after = self.query.get("continuation-token", self.query.get("start-after", ""))
        prefix = self.query.get("prefix", "")
        paths = sorted(path for path in self.store.objects if path.startswith(prefix) and path > after)
        page, more = paths[:PAGE], len(paths) > PAGE
        shown = "".join(
            f"<Contents><Key>{escape(path)}</Key><Generation>{one.generation}</Generation><Size>{len(one.data)}</Size>"
            f"<LastModified>{one.modified_at:%Y-%m-%dT%H:%M:%S.%f}Z</LastModified><ETag>{escape(one.etag)}</ETag></Contents>"
            for path, one in ((path, self._found(path)) for path in page)
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        answer = f"<ListBucketResult>{shown}<IsTruncated>{str(more).lower()}</IsTruncated>{token}</ListBucketResult>"
        self._answer(200, answer.encode(), {"Content-Type": "application/xml"})

    # ── uploads in parts ──

    def _begin_upload(self) -> None:
        name = hashlib.sha256(f"{self.object}{time.monotonic_ns()}".encode()).hexdigest()
        self.store.uploads[name] = _Upload(self.object, self._kept())
        answer = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        self._answer(200, answer.encode(), {"Content-Type": "application/xml"})

    def _upload(self) -> _Upload:
        found = self.store.uploads.get(self.query["uploadId"])
        if found is None or found.path != self.object:
            raise _Refused(404, "NoSuchUpload")
        return found

    def _put_part(self) -> None:
        self._upload().parts[int(self.query["partNumber"])] = self.body
        self._answer(200, b"", {"ETag": _etag(self.body)})

    def _complete_upload(self) -> None:
        upload = self._upload()
        asked = list(ElementTree.fromstring(self.body).iter())
        named = [int(one.text or 0) for one in asked if one.tag.endswith("PartNumber")]
        told = [one.text or "" for one in asked if one.tag.endswith("ETag")]
        if told != [_etag(upload.parts.get(number, b"")) for number in named] or named != sorted(set(named)):
            raise _Refused(400, "InvalidPart")
        pieces = [upload.parts[number] for number in named]
        if any(len(piece) < PART_BYTES_MIN for piece in pieces[:-1]):
            raise _Refused(400, "EntityTooSmall")
        written = self._write(upload.path, b"".join(pieces), upload.headers)
        del self.store.uploads[self.query["uploadId"]]
        answer = f"<CompleteMultipartUploadResult><ETag>{escape(written.etag)}</ETag></CompleteMultipartUploadResult>"
        self._answer(200, answer.encode(), {"Content-Type": "application/xml"} | _described(written))

    # ── answers ──

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _described(found: _Object) -> dict[str, str]:
    return {
        "ETag": found.etag,
        "x-goog-generation": str(found.generation),
        "Last-Modified": format_datetime(found.modified_at, usegmt=True),
    }
