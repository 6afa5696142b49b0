"""A server that answers as it is told: for what the real one says seldom, or never says."""

from __future__ import annotations

import gzip
import json
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

__all__ = ["Answering", "accept_all"]


class Answering:
    """Answers each POST with the next of `answers`, the last one for ever: (status, headers, body), or a function of the lines sent.

    `requests` has the activities of each, `heard` waits for so many.
    """

    def __init__(self) -> None:
        self.answers: deque[Any] = deque([accept_all])
        self.requests: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self._changed = Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                lines = [json.loads(line) for line in body.splitlines()]
                with outer._changed:
                    outer.requests.append(lines)
                    outer.headers.append(dict(self.headers))
                    answer = outer.answers.popleft() if len(outer.answers) > 1 else outer.answers[0]
                    outer._changed.notify_all()
                status, headers, content = answer(lines) if callable(answer) else answer
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(ConnectionError):  # who asked is gone
                    self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def heard(self, count: int, timeout_s: float = 30) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout_s)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def accept_all(lines: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
    return 202, {"Content-Type": "application/json"}, json.dumps({"accepted": len(lines), "rejected": []}).encode()
