"""Fixtures live by topic in `fix_<topic>.py`."""

import signal

pytest_plugins = ["fix_postgres"]

# A shell script that starts the tests in the background has Ctrl-C ignored in them, and so in each process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
