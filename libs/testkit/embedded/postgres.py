"""A real Postgres on a loopback port, durable, small, behind a password, and with its data kept across kill -9."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libs.testkit.embedded.postgres_account import (
    Account,
    open_folder,
    others_can_enter,
    owner_account,
    remove_open_folder,
    service_account,
)
from libs.testkit.embedded.postgres_install import ensure_programs
from libs.testkit.embedded.processes import command_line
from libs.testkit.embedded.server import (
    LOOPBACK,
    Command,
    Progress,
    RunningServer,
    ServerDidNotStart,
    data_folder,
    free_ports,
    run_tool,
    silent,
    wait_until_ready,
)

USER = "ordo"
DATABASE = "ordo"
START_LIMIT_S = 60.0
INITDB_LIMIT_S = 60.0
QUERY_LIMIT_S = 30.0
PROBE_LIMIT_S = 3.0
RELEASE_LIMIT_S = 10.0
HELD_MEMORY = "shared memory block"
SERVER_ENV: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

SETTINGS: Mapping[str, str] = {
    # Durability is never traded away, in tests neither.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "wal_buffers": "4MB",
    "min_wal_size": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    # What sessions write out is begun at once: a checkpoint that finds all of it unwritten makes every commit wait.
    "backend_flush_after": "256kB",
    # One server without replicas: less to log.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_replication_slots": "0",
    "autovacuum": "on",
    "autovacuum_max_workers": "2",
    "autovacuum_worker_slots": "2",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "jit": "off",
    "random_page_cost": "1.1",
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


@dataclass
class PostgresServer(RunningServer):
    """A running server; `url` names the database made for the product, `url_of` any other."""

    password: str = ""
    programs: Path = Path()

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        return postgres_url(self.port, self.password, database)

    def query(self, sql: str, database: str = DATABASE) -> str:
        """Runs one statement and returns what `psql` prints for it: plain values, one row a line."""
        argv = _psql_argv(self.programs, self.port, database, sql)
        return run_tool(argv, _psql_env(self.password), QUERY_LIMIT_S, "psql").strip()

    def create_database(self, name: str, template: str = "template1") -> str:
        """Makes a database for one test and returns its url."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,50}", name):
            raise ValueError(f"{name!r} is no plain database name")
        self.query(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url_of(name)


@dataclass(frozen=True)
class PreparedPostgres:
    """An initialised data folder, and who may run on it with which programs."""

    programs: Path
    folder: Path
    account: Account | None
    password: str


def postgres_url(port: int, password: str, database: str = DATABASE) -> str:
    """Where clients find the server."""
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"


def prepare_postgres(data_dir: Path, password: str | None = None, progress: Progress = silent) -> PreparedPostgres:
    """Initialises the data folder unless it holds data already; leftovers of an interrupted try are replaced."""
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    programs = ensure_programs(progress)
    account = service_account()
    folder = data_dir / "pgdata"
    closed = not folder.exists() and not others_can_enter(data_dir)
    if account is not None and (closed or (data_dir / "open").is_symlink()):
        folder = open_folder(data_dir / "open") / "pgdata"
    if folder.exists():
        _check_data(folder, programs)
        owner = owner_account(folder, account) if account is not None else None
        return PreparedPostgres(programs, folder, owner, _stored_password(data_dir, password))
    chosen = _stored_password(data_dir, password)
    progress("initialising Postgres")
    _initdb(programs, folder, account, chosen)
    return PreparedPostgres(programs, folder, account, chosen)


def postgres_command(
    data_dir: Path, port: int, password: str | None = None, settings: Mapping[str, str] | None = None
) -> Command:
    """Prepares the data folder and says how to run the server on it."""
    return _command(prepare_postgres(data_dir, password), port, settings)


def start_postgres(
    data_dir: Path,
    port: int,
    *,
    password: str | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress = silent,
    start_limit_s: float = START_LIMIT_S,
) -> PostgresServer:
    """Starts a server on its data folder, new or used, and returns when it answers a query in its database."""
    prepared = prepare_postgres(data_dir, password, progress)
    deadline = time.monotonic() + RELEASE_LIMIT_S
    while True:
        try:
            return _launch(prepared, data_dir / "postgres.log", port, settings, start_limit_s)
        except ServerDidNotStart as refused:
            # After kill -9 a busy backend may hold the shared memory a moment longer than its server lived.
            if HELD_MEMORY not in str(refused) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _launch(
    prepared: PreparedPostgres, log_path: Path, port: int, settings: Mapping[str, str] | None, start_limit_s: float
) -> PostgresServer:
    process = _command(prepared, port, settings).spawn(log_path)
    server = PostgresServer(
        "Postgres", process, port, log_path, signal.SIGINT, password=prepared.password, programs=prepared.programs
    )
    try:
        wait_until_ready(server, lambda: _answers(port, prepared.password, prepared.programs), start_limit_s)
    except BaseException:
        server.kill()
        raise
    return server


@contextlib.contextmanager
def running_postgres(
    data_dir: Path | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Iterator[PostgresServer]:
    """A server on a free port for the length of a `with`; without a folder its data goes with it."""
    with data_folder(data_dir, "ordo-postgres-", remove=remove_postgres_data) as folder:
        server = start_postgres(folder, free_ports(1)[0], settings=settings, progress=progress)
        try:
            yield server
        finally:
            server.stop()


def remove_postgres_data(data_dir: Path) -> None:
    """Removes a stopped server's data, also where it lies outside the folder for its account's sake."""
    remove_open_folder(data_dir / "open")
    shutil.rmtree(data_dir / "pgdata", ignore_errors=True)


def _answers(port: int, password: str, programs: Path) -> bool:
    argv = _psql_argv(programs, port, DATABASE, "SELECT 1")
    try:
        asked = subprocess.run(
            argv, env=_psql_env(password), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=PROBE_LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def _psql_argv(programs: Path, port: int, database: str, sql: str) -> tuple[str, ...]:
    return (
        str(programs / "psql"), "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1",
        "-h", LOOPBACK, "-p", str(port), "-U", USER, "-d", database, "-c", sql,
    )  # fmt: skip


def _psql_env(password: str) -> dict[str, str]:
    # Nothing of ours: a PGHOST or PGSERVICE in the user's environment must not lead elsewhere.
    return {"PATH": os.defpath, "LC_ALL": "C", "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "2"}


def _command(prepared: PreparedPostgres, port: int, settings: Mapping[str, str] | None) -> Command:
    _remove_stale_pid_file(prepared.folder)
    options = [
        option
        for name, value in {**SETTINGS, **(settings or {}), "port": str(port)}.items()
        for option in ("-c", f"{name}={value}")
    ]
    argv = (str(prepared.programs / "postgres"), "-D", str(prepared.folder), *options)
    account = prepared.account
    return Command(argv, SERVER_ENV, account.uid if account else None, account.gid if account else None)


def _check_data(folder: Path, programs: Path) -> None:
    found = (folder / "PG_VERSION").read_text("ascii").strip()
    shipped = run_tool((str(programs / "postgres"), "--version"), {"LC_ALL": "C"}, QUERY_LIMIT_S, "postgres --version")
    if found not in re.findall(r"\d+", shipped)[:1]:
        raise ServerDidNotStart(f"{folder} was made by Postgres {found}; installed is {shipped.strip()}")
    if os.geteuid() not in {0, folder.stat().st_uid}:
        raise ServerDidNotStart(f"{folder} belongs to user id {folder.stat().st_uid}: start as that user or as root")


def _stored_password(data_dir: Path, password: str | None) -> str:
    path = data_dir / "password"
    if path.exists():
        stored = path.read_text("ascii")
        if password is not None and password != stored:
            raise ServerDidNotStart(f"{data_dir} was initialised with another password, kept in {path}")
        return stored
    chosen = password or secrets.token_urlsafe(24)
    _write_private(path, chosen)
    return chosen


def _initdb(programs: Path, folder: Path, account: Account | None, password: str) -> None:
    partial = folder.with_name("pgdata.partial")
    password_file = folder.with_name("initdb.password")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    _write_private(password_file, password)
    if account is not None:
        os.chown(partial, account.uid, account.gid)
        os.chown(password_file, account.uid, account.gid)
    argv = (
        str(programs / "initdb"), "-D", str(partial), "-U", USER, f"--pwfile={password_file}", "--auth=scram-sha-256",
        "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions",
        # The password is long and random: stretching it would only slow every connection down.
        "--set=scram_iterations=256",
    )  # fmt: skip
    try:
        _run_as(account, argv, "", "initdb")
    finally:
        password_file.unlink()
    single = (str(programs / "postgres"), "--single", "-D", str(partial), "-c", "exit_on_error=on", "postgres")
    _run_as(account, single, f"CREATE DATABASE {DATABASE}\n", "making the database")
    partial.rename(folder)


def _run_as(account: Account | None, argv: tuple[str, ...], given: str, what: str) -> None:
    done = subprocess.run(
        argv, env=SERVER_ENV, input=given, text=True, errors="replace", cwd="/", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=INITDB_LIMIT_S, check=False, **_identity(account),
    )  # fmt: skip
    if done.returncode != 0:
        raise ServerDidNotStart(f"{what} failed with code {done.returncode}:\n{done.stdout.strip()}")


def _identity(account: Account | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)


def _remove_stale_pid_file(folder: Path) -> None:
    """After a reboot the pid in the file may be another program's, and Postgres would refuse to start."""
    path = folder / "postmaster.pid"
    try:
        pid = int(path.read_text("ascii").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if not _is_postmaster(pid, folder):
        path.unlink(missing_ok=True)
        return
    deadline = time.monotonic() + RELEASE_LIMIT_S
    while _is_postmaster(pid, folder):
        if time.monotonic() > deadline:
            raise ServerDidNotStart(f"Postgres is already running on {folder} as process {pid}")
        time.sleep(0.1)


def _is_postmaster(pid: int, folder: Path) -> bool:
    arguments = command_line(pid)
    return "postgres" in arguments and str(folder) in arguments
