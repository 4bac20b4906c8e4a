"""Kafka's jars, exactly as pinned in `kafka.lock`: fetched once into the cache, checked by sha256, then renamed."""

import concurrent.futures
import hashlib
import importlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libs.testkit.embedded.cache import cache_folder, cache_lock
from libs.testkit.embedded.server import Progress, silent

LOCK_FILE = Path(__file__).with_name("kafka.lock")
FETCH_THREADS = 8
ATTEMPTS_LIMIT = 4
RETRY_DELAY_S = 1.0
REQUEST_TIMEOUT_S = 30
PROGRESS_EVERY_JARS = 5
READ_CHUNK_BYTES = 1024 * 1024


class JarsNotFetched(RuntimeError):
    """The pinned jars could not be brought here; the message says which one and why."""


@dataclass(frozen=True)
class PinnedJar:
    """One line of the lock file."""

    sha256: str
    size_bytes: int
    group: str
    artifact: str
    version: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def pinned_jars(lock_file: Path = LOCK_FILE) -> list[PinnedJar]:
    """The jars in the order of the lock file, which is also the order of the class path."""
    jars = []
    for line in lock_file.read_text("utf-8").splitlines():
        sha256, size_bytes, coordinate = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(PinnedJar(sha256, int(size_bytes), group, artifact, version))
    return jars


def kafka_folder() -> Path:
    """Where everything made for this exact set of jars lives: another lock file means another folder."""
    digest = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]
    return cache_folder() / f"kafka-{digest}"


def ensure_jars(progress: Progress = silent) -> list[Path]:
    """The jars' paths, fetching what is missing; a second process waits for the first instead of fetching too."""
    jars = pinned_jars()
    folder = kafka_folder() / "jars"
    if not _all_present(jars, folder):
        with cache_lock("jars", progress):
            if not _all_present(jars, folder):
                _fetch_all(jars, folder, progress)
    return [folder / jar.file_name for jar in jars]


def _all_present(jars: list[PinnedJar], folder: Path) -> bool:
    # Content was checked before the rename that made the folder appear; sizes catch a damaged cache cheaply.
    try:
        return all((folder / jar.file_name).stat().st_size == jar.size_bytes for jar in jars)
    except FileNotFoundError:
        return False


def _fetch_all(jars: list[PinnedJar], folder: Path, progress: Progress) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob("fetching-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder.parent))
    try:
        checked = scratch / "jars"
        checked.mkdir()
        context = _maven_context(scratch / "resolver")
        total_mb = sum(jar.size_bytes for jar in jars) / 1e6
        done_bytes = 0
        with concurrent.futures.ThreadPoolExecutor(FETCH_THREADS, "jar") as pool:
            waiting = [pool.submit(_fetch_one, context, jar, checked) for jar in jars]
            try:
                for count, done in enumerate(concurrent.futures.as_completed(waiting), start=1):
                    done_bytes += done.result().size_bytes
                    if count % PROGRESS_EVERY_JARS == 0 or count == len(jars):
                        progress(f"Kafka jars {count}/{len(jars)} ({done_bytes / 1e6:.1f} of {total_mb:.1f} MB)")
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        if folder.exists():
            shutil.rmtree(folder)
        checked.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _maven_context(repo_cache: Path) -> Any:
    maven = importlib.import_module("jgo.maven")
    mirror = os.environ.get("ORDO_MAVEN_REPOSITORY")
    remotes = {"mirror": mirror.rstrip("/")} if mirror else None
    return maven.MavenContext(repo_cache=repo_cache, remote_repos=remotes, timeout=REQUEST_TIMEOUT_S)


def _fetch_one(context: Any, jar: PinnedJar, checked: Path) -> PinnedJar:
    problem: Exception | None = None
    for attempt in range(ATTEMPTS_LIMIT):
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        # The resolver writes straight into the final name and refuses to overwrite, so a broken try is removed.
        Path(artifact.cached_path).unlink(missing_ok=True)
        try:
            path = Path(artifact.resolve())
        except (OSError, RuntimeError) as failed:  # requests' errors are OSErrors
            problem = failed
        else:
            found = _sha256(path)
            if found == jar.sha256:
                path.rename(checked / jar.file_name)
                return jar
            problem = JarsNotFetched(f"sha256 is {found}, pinned is {jar.sha256}")
        if attempt + 1 < ATTEMPTS_LIMIT:
            time.sleep(RETRY_DELAY_S * (attempt + 1))
    raise JarsNotFetched(
        f"{jar.coordinate} could not be fetched in {ATTEMPTS_LIMIT} attempts: {problem}. "
        "Behind a proxy with its own certificate set REQUESTS_CA_BUNDLE; for a mirror set ORDO_MAVEN_REPOSITORY."
    ) from problem


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(READ_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
