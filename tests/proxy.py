"""A TCP proxy with a hand on the wire: for tests of what a cut, a silence or a refusal does to who is connected through it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread

__all__ = ["TcpProxy"]


class TcpProxy:
    """`url` leads to `target`, a port of this machine or the path of a socket. A context manager; each direction of each connection has a thread.

    cut_after: the next connections are cut when so many bytes went to the server. refusing: new ones are closed at once. silent:
    nothing is passed on, in neither direction, and nobody is told. answers_lost: what the server says is thrown away, and
    then the connection is cut.
    """

    def __init__(self, target: int | Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.cut_after: int | None = None
        self.refusing = self.silent = self.answers_lost = False
        self.cuts = 0
        self.accepted = 0
        self._sockets: set[socket.socket] = set()
        self._changed = Condition()
        self._thread = Thread(target=self._accept, daemon=True)

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A blocked accept does not notice a close.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.sever()
        self._thread.join()

    def sever(self) -> None:
        """Cuts every connection."""
        with self._changed:
            for one in list(self._sockets):
                _cut(one)

    def wait_for_cuts(self, count: int, timeout_s: float = 30) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.cuts >= count, timeout_s)

    def wait_for_connections(self, count: int, timeout_s: float = 30) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.accepted >= count, timeout_s)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.accepted += 1
                self._changed.notify_all()
            if self.refusing:
                _cut(near)
                near.close()
                continue
            try:
                far = _connected(self._target)
            except OSError:
                near.close()
                continue
            with self._changed:
                self._sockets |= {near, far}
            for source, target, to_server in ((near, far, True), (far, near, False)):
                Thread(target=self._pass_on, args=(source, target, to_server), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, to_server: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(4096):
                if self.silent:
                    continue
                if to_server and self.cut_after is not None and passed + len(data) > self.cut_after:
                    target.sendall(data[: self.cut_after - passed])
                    self._note_cut()
                    break
                if not to_server and self.answers_lost:
                    self._note_cut()
                    break
                target.sendall(data)
                passed += len(data)
        for one in (source, target):
            _cut(one)
        with self._changed:
            gone = {source, target} & self._sockets
            self._sockets -= {source, target}
        for one in gone:
            one.close()

    def _note_cut(self) -> None:
        with self._changed:
            self.cuts += 1
            self._changed.notify_all()


def _connected(target: int | Path) -> socket.socket:
    """Raises `OSError`."""
    if isinstance(target, int):
        return socket.create_connection(("127.0.0.1", target))
    far = socket.socket(socket.AF_UNIX)
    try:
        far.connect(str(target))
    except OSError:
        far.close()
        raise
    return far


def _cut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
