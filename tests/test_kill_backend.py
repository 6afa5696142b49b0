"""A row that kills the backend that loads it, each time: PostgreSQL starts anew, and with it everybody's sessions.

A real crash: a CHECK of the test's own runs `kill -9` on its backend, as a bug in PostgreSQL or in an extension would end it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client_site import until
from fix_postgres import in_own_loop
from milepost.postgres import Database
from outage_site import OutageSite, Sender, run_of

pytestmark = pytest.mark.timeout(600)

POISON = 10**6
TRIES = 2
CRASH = """
CREATE FUNCTION public.crash(object_id text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF object_id = '1000000' THEN
        EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid());
    END IF;
    RETURN true;
END $$;
ALTER TABLE milepost.activity ADD CONSTRAINT activity_crash CHECK (public.crash(object_id)) NOT VALID;
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OutageSite]:
    made = OutageSite(tmp_path)
    yield made
    made.end()


def execute(site: OutageSite, statements: str) -> None:
    async def work() -> None:
        async with await Database.connect_owner(site.url) as owner:
            await owner.execute(statements.encode())

    in_own_loop(work)


def crashes(site: OutageSite) -> int:
    logs = [path for path in site.folder.rglob("*.log") if "server-" not in path.name]
    return sum(path.read_text(errors="replace").count("was terminated by signal 9") for path in logs)


def test_a_batch_that_ends_each_session_is_set_aside(site: OutageSite) -> None:
    """After bounded tries it lies in the dead letters as a whole; what came with it and after it is loaded, and the lane goes on."""
    execute(site, CRASH)
    server = site.server(load_tries_max=str(TRIES))
    senders = [Sender(server, tenant, pause_s=0.02) for tenant in site.tenants]
    server.start()
    tenant_id, key = site.tenants[0]
    for sender in senders:
        sender.start()
    until(lambda: all(sender.statuses[202] >= 5 for sender in senders), "all send")
    status, answer, _ = server.post(key, [run_of(POISON - 1), run_of(POISON)])
    assert status == 202
    receipt = f"/v1/receipts/{answer['receipt']}"  # answered 503 while PostgreSQL starts anew
    until(lambda: (server.get(receipt, key)[1] or {}).get("state") == "set aside", "the receipt says so", 120)
    after = [sender.statuses[202] + 5 for sender in senders]
    until(lambda: all(one.statuses[202] >= n for one, n in zip(senders, after, strict=True)), "all go on")
    expected = set().union(*(sender.finish() for sender in senders))
    loaded = site.wait_for(expected)
    assert loaded.keys() == expected
    assert set(loaded.values()) == {1}
    assert all(sender.statuses.keys() == {202} for sender in senders)
    letters = site.asked("SELECT tenant_id, rows, error_class, facts->>'searched', tries FROM milepost.dead_letter")
    assert letters == [(tenant_id, 2, "other", "false", TRIES)]
    # Once with others, and then alone as often as is allowed.
    assert TRIES <= crashes(site) <= TRIES + 1
    execute(site, "ALTER TABLE milepost.activity DROP CONSTRAINT activity_crash")
    site.verified()
