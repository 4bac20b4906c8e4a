"""The per-user cache folder: found even when HOME is empty or odd, and never filled by two processes at once."""

import contextlib
import fcntl
import os
import pwd
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from libs.testkit.embedded.server import Progress, silent

LOCK_LIMIT_S = 600.0
LOCK_POLL_S = 0.2


def cache_folder() -> Path:
    """`ORDO_CACHE`, else `.cache/ordo` in the first home that can be written, else a private temporary folder."""
    chosen = os.environ.get("ORDO_CACHE")
    if chosen:
        folder = Path(chosen).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    for home in _homes():
        folder = home / ".cache" / "ordo"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return _private_temporary_folder()


def _homes() -> Iterator[Path]:
    named = os.environ.get("HOME", "")
    if named and Path(named).is_absolute() and Path(named).is_dir():
        yield Path(named)
    # A user id without an entry (usual in containers) has no other home to offer.
    with contextlib.suppress(KeyError):
        registered = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        if registered.is_dir():
            yield registered


def _private_temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"ordo-cache-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # Somebody else may have made a folder of this name to hand us their jars.
    if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder} is not ours alone: set ORDO_CACHE to a folder that is")
    return folder


@contextlib.contextmanager
def cache_lock(name: str, progress: Progress = silent, lock_limit_s: float = LOCK_LIMIT_S) -> Iterator[None]:
    """Holds the named lock of the cache; the kernel lets go of it when its holder dies, however it dies."""
    path = cache_folder() / f"{name}.lock"
    deadline = time.monotonic() + lock_limit_s
    with path.open("ab") as handle:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as held:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} was held by another process for {lock_limit_s:.0f} s") from held
                if not told:
                    progress(f"waiting for another process that is filling the cache ({path})")
                    told = True
                time.sleep(LOCK_POLL_S)
        yield
