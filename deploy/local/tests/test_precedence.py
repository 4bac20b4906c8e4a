"""Whoever is to give way does, with its sessions in a real Postgres; nobody else does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from deploy.local import precedence
from deploy.local.precedence import Sessions, give_way
from libs.testkit.embedded.postgres import PostgresServer
from libs.testkit.waiting import until_now

NICENESS = 7
# Whoever is not root may set ten a second.
WAIT_LIMIT_S = 5.0


def set_to(pid: int) -> tuple[int, str]:
    shared = Path(f"/proc/{pid}/autogroup")
    of_session = shared.read_text().split()[-1] if shared.exists() else ""
    return os.getpriority(os.PRIO_PROCESS, pid), of_session


def asked(niceness: int, pid: int) -> tuple[int, str]:
    return niceness, str(niceness) if set_to(pid)[1] else ""


@contextmanager
def sleeping(title: str) -> Iterator[int]:
    program = subprocess.Popen([title, "60"], executable=shutil.which("sleep"), start_new_session=True)
    try:
        yield program.pid
    finally:
        program.kill()
        program.wait(10.0)


@pytest.fixture
def sleeper() -> Iterator[int]:
    with sleeping("sleep") as pid:
        yield pid


def test_a_program_gives_way(sleeper: int) -> None:
    until_now(lambda: give_way(sleeper, NICENESS), WAIT_LIMIT_S)
    assert give_way(sleeper, NICENESS), "once more changes nothing"
    assert set_to(sleeper) == asked(NICENESS, sleeper)


def test_one_that_has_ended_is_none_of_our_business() -> None:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait(10.0)
    assert give_way(ended.pid, NICENESS)


def test_what_may_not_be_set_yet_is_set_later(sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("nothing to be asked again for")

    def not_so_often(*_: object) -> int:
        raise BlockingIOError

    with monkeypatch.context() as busy:
        busy.setattr(Path, "write_text", not_so_often)
        assert not give_way(sleeper, NICENESS)
    until_now(lambda: give_way(sleeper, NICENESS), WAIT_LIMIT_S)
    assert set_to(sleeper) == asked(NICENESS, sleeper)


def test_vacuum_gives_way_to_everybody(sleeper: int) -> None:
    sessions, before = Sessions(), set_to(sleeper)
    with sleeping("postgres: autovacuum worker ordo") as worker:
        until_now(lambda: sessions.give_way(os.getpid(), 1, {}) and set_to(worker)[0] > 0, WAIT_LIMIT_S)
        assert set_to(worker) == asked(precedence.VACUUM_NICENESS, worker)
    assert set_to(sleeper) == before


@pytest.mark.postgres
def test_that_is_how_postgres_titles_it(postgres_server: PostgresServer) -> None:
    launcher = postgres_server.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum launcher'")
    assert precedence._title(int(launcher)).startswith(precedence._VACUUM.removesuffix(b"worker"))


@pytest.mark.postgres
async def test_a_programs_sessions_give_way_and_no_others(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = Sessions()
    postgres, port = postgres_server.process.pid, postgres_server.port
    ours = await asyncpg.connect(postgres_server.url)
    try:
        backend = ours.get_server_pid()
        before = set_to(backend)
        assert sessions.give_way(postgres, port, {os.getppid(): NICENESS}), "it is not that program's"
        assert set_to(backend) == before

        later = await asyncpg.connect(postgres_server.url)
        try:
            with monkeypatch.context() as busy:
                busy.setattr(precedence, "give_way", lambda *_: False)
                assert not sessions.give_way(postgres, port, {os.getpid(): NICENESS})
            until_now(lambda: sessions.give_way(postgres, port, {os.getpid(): NICENESS}), WAIT_LIMIT_S)
            assert set_to(later.get_server_pid()) == asked(NICENESS, later.get_server_pid())
            assert set_to(backend) == before, "it was looked at before"
        finally:
            await later.close()
    finally:
        await ours.close()
