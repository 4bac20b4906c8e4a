"""The embedded Postgres: durable, for root and for others, its data found again after kill -9."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from libs.testkit.embedded.postgres import (
    PostgresServer,
    prepare_postgres,
    remove_postgres_data,
    running_postgres,
    start_postgres,
)
from libs.testkit.embedded.server import ServerDidNotStart, free_ports
from libs.testkit.waiting import until_now

pytestmark = pytest.mark.postgres
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ordo-postgres-test-"))
    yield folder
    remove_postgres_data(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_postgres() as running:
        yield running


def test_it_is_durable_and_has_the_product_database(server: PostgresServer) -> None:
    shown = server.query(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'),"
        " current_database(), current_setting('TimeZone')"
    )
    assert shown == "on|on|on|ordo|UTC"


def test_a_wrong_password_is_refused(server: PostgresServer) -> None:
    server_with_other_password = PostgresServer(
        server.name, server.process, server.port, server.log_path, password="wrong", programs=server.programs
    )
    with pytest.raises(ServerDidNotStart, match="password authentication failed"):
        server_with_other_password.query("SELECT 1")


def test_a_database_for_one_test(server: PostgresServer) -> None:
    url = server.create_database("for_one_test")
    assert url.endswith("/for_one_test")
    assert server.query("SELECT current_database()", "for_one_test") == "for_one_test"
    with pytest.raises(ValueError, match="plain database name"):
        server.create_database('x"; DROP DATABASE ordo')


def test_data_survives_kill_9_with_a_client_connected(data_dir: Path) -> None:
    port = free_ports(1)[0]
    server = start_postgres(data_dir, port)
    try:
        server.query("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        sleeper = subprocess.Popen(
            [str(server.programs / "psql"), "-X", "-q", server.url, "-c", "SELECT pg_sleep(30)"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'"
        until_now(lambda: server.query(sleeping) == "1", every_s=0.1)
        server.kill()
        assert sleeper.wait(10.0) != 0
        password = server.password
        server = start_postgres(data_dir, port)
        assert server.password == password
        assert server.query("SELECT count(*) FROM kept") == "1000"
    finally:
        server.stop()
    assert not server.is_running


def test_a_stale_pid_file_does_not_stop_it(data_dir: Path) -> None:
    port = free_ports(1)[0]
    start_postgres(data_dir, port).stop()
    pgdata = prepare_postgres(data_dir).folder
    stranger = subprocess.Popen(["sleep", "60"], user="nobody" if os.geteuid() == 0 else None)
    try:
        (pgdata / "postmaster.pid").write_text(f"{stranger.pid}\n{pgdata}\n1\n{port}\n\n127.0.0.1\n0 0\nready\n")
        server = start_postgres(data_dir, port)
        server.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_initdb_is_done_again(data_dir: Path) -> None:
    folder = prepare_postgres(data_dir).folder
    folder.rename(folder.with_name("pgdata.partial"))
    (folder.with_name("pgdata.partial") / "PG_VERSION").unlink()
    with running_postgres(data_dir) as server:
        assert server.query("SELECT 1") == "1"


def test_a_failed_start_shows_the_end_of_the_log(data_dir: Path) -> None:
    with pytest.raises(ServerDidNotStart, match=r"(?s)ended with code 1.*unrecognized configuration parameter"):
        start_postgres(data_dir, free_ports(1)[0], settings={"no_such_setting": "1"})


@needs_root
def test_root_runs_it_as_another_account_also_in_a_closed_folder(data_dir: Path) -> None:
    data_dir.chmod(0o700)
    with running_postgres(data_dir) as server:
        assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0
        outside = prepare_postgres(data_dir).folder
    assert not outside.is_relative_to(data_dir)
    assert (data_dir / "password").stat().st_mode & 0o777 == 0o600
    remove_postgres_data(data_dir)
    assert not outside.exists()


@needs_root
def test_it_runs_for_an_ordinary_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("ORDO_CACHE", raising=False)
    with tempfile.TemporaryDirectory(prefix="ordo-plain-user-") as folder:
        Path(folder).chmod(0o777)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        answer = Path(folder) / "answer"
        # A fork, because the interpreter itself may lie where only root can run it.
        child = os.fork()
        if child == 0:
            _answer_as_nobody(answer)
        _, status = os.waitpid(child, 0)
        assert answer.read_text() == "42"
        assert os.waitstatus_to_exitcode(status) == 0


def _answer_as_nobody(answer: Path) -> NoReturn:
    code = 1
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with running_postgres() as server:
            answer.write_text(server.query("SELECT 42"))
        code = 0
    except (OSError, RuntimeError) as failed:
        answer.write_text(repr(failed))
    finally:
        os._exit(code)
