"""An app with a client, as a process of its own: `python client_app.py ACTOR WHAT`; `wsgi` for gunicorn.

It logs numbered activities of its actor and says on stdout how far it is; what for, WHAT says.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from client_site import until
from milepost import Milepost


def made(**settings: Any) -> Milepost:
    return Milepost(**({"retry_s_max": 1.0} | settings))


def log(client: Milepost, actor: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        client.log("run", actor, object=("workout", number))


def say(*words: object) -> None:
    print(*words, flush=True)


def spill(actor: str, number: int) -> None:
    """Until so many are on disk; then waits to be killed, or told to finish."""
    client = made(spill_after_s=0, batch_activities_max=10)
    log(client, actor, range(number))
    until(lambda: client.counters().in_spool == number, "all is on disk")
    say("spilled", number)
    sys.stdin.readline()
    say("delivered", client.close(60))


def adopt(number: int) -> None:
    """Until something of an earlier process is sent; then waits to be killed."""
    client = made(batch_activities_max=10)
    until(lambda: client.counters().adopted >= number, "something is adopted")
    say("adopted")
    sys.stdin.readline()


def child(actor: str, number: int, client: Milepost, rows: int = 100) -> None:
    log(client, f"{actor}-child{number}", range(rows))


def spawned(actor: str, number: int) -> None:
    child(actor, number, made())


def fork(actor: str, *, before: bool) -> None:
    client = made()
    if before:
        log(client, actor, range(150))
    pids = []
    for number in range(3):
        if not (pid := os.fork()):
            child(actor, number, client)
            sys.exit(0)  # as a worker of a server ends: at its exit it flushes
        pids.append(pid)
    log(client, actor, range(150 if before else 0, 300))
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
    say("parent", client.close(60))


def processes(actor: str, method: str) -> None:
    client = made()
    log(client, actor, range(150))
    context: Any = multiprocessing.get_context(method)
    children = [
        context.Process(target=child, args=(actor, number, client))
        if method == "fork"
        else context.Process(target=spawned, args=(actor, number))
        for number in range(3)
    ]
    for one in children:
        one.start()
    log(client, actor, range(150, 300))
    for one in children:
        one.join()
        assert one.exitcode == 0
    say("parent", client.close(60))


def forks_in_an_outage(actor: str) -> None:
    client = made(spill_after_s=0, exit_timeout_s=0.1)
    numbers = iter(range(2000))
    stop = threading.Event()

    def work() -> None:
        for number in numbers:
            log(client, actor, [number])
            stop.wait(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    for number in range(20):
        if not (pid := os.fork()):
            child(actor, number, client, 10)
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    thread.join()
    client.close(0.1)
    say("forked", 20)


def ends(actor: str, how: str) -> None:
    client = made()
    if how == "in atexit":  # the first that is logged at all
        atexit.register(log, client, actor, range(100))
        return
    if how == "before atexit":  # the end's own part comes after the client's
        log(client, actor, range(100))
        return
    if how == "a thread":

        def late() -> None:
            threading.main_thread().join()
            log(client, actor, range(100))

        threading.Thread(target=late).start()
        return
    log(client, actor, range(100))
    if how == "sys.exit":
        sys.exit(0)
    if how == "raises":
        raise RuntimeError("the app's own")


_numbers = count()


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Logs one for each request, by its worker's number."""
    actor, number = f"worker{os.getpid()}", next(_numbers)
    client_of_gunicorn.log("run", actor, object=("workout", number))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{actor} {number}".encode()]


if __name__ == "__main__":
    actor, what = sys.argv[1:]
    match what.split(" ", 1):
        case ["spill", number]:
            spill(actor, int(number))
        case ["adopt", number]:
            adopt(int(number))
        case ["fork"]:
            fork(actor, before=True)
        case ["preloaded", _]:
            fork(actor, before=False)
        case ["multiprocessing", method]:
            processes(actor, method)
        case ["forks", _]:
            forks_in_an_outage(actor)
        case ["ends", how]:
            ends(actor, how)
        case _:
            raise SystemExit(f"{what!r} is nothing it can do")
elif "gunicorn" in sys.modules:
    client_of_gunicorn = made()
    client_of_gunicorn.log("run", "master", object=("workout", 0))
