"""Fixtures live by topic in `fix_<topic>.py`."""

pytest_plugins = ["fix_postgres"]
