"""Another process's clock, moved while it runs: a library that is loaded before the system's, and adds what a file says."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

__all__ = ["clock_of", "move_clock"]

# Only what people call time: pauses and deadlines go by the monotonic clock, which no one can set.
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *aside;

__attribute__((constructor)) static void look(void) {
    int file = open(getenv("TEST_CLOCK"), O_RDONLY);
    void *seen = mmap(0, sizeof *aside, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (seen == MAP_FAILED) abort();
    aside = seen;
}

int clock_gettime(clockid_t which, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, time);
    if (!failed && aside && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) time->tv_sec += *aside;
    return failed;
}

time_t time(time_t *seconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds) *seconds = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec time;
    int failed = clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return failed;
}
"""


def move_clock(clock: Path, seconds: int) -> None:
    """From now on, for whoever was started with it. Makes the file, and the library beside it, the first time."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    library = _library(clock)
    if not library.exists():
        words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), "-x", "c", "-", "-ldl"]
        subprocess.run(words, input=SOURCE.encode(), check=True)
    with clock.open("r+b" if clock.exists() else "w+b") as file:  # in place: it is mapped
        file.write(struct.pack("=q", seconds))


def clock_of(clock: Path) -> dict[str, str]:
    """The environment of a process that goes by it."""
    return {"LD_PRELOAD": str(_library(clock)), "TEST_CLOCK": str(clock)}


def _library(clock: Path) -> Path:
    return clock.with_suffix(".so")
