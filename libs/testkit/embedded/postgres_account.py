"""Lets Postgres, which refuses to run as root, run as another account that can reach its programs and its data."""

import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

FALLBACK_ID = 65534
# Where root keeps what the other account must reach when the given folder is closed to it.
# Not /var/tmp first: systems clean that of files nobody has touched for a month.
OPEN_FOLDERS = (Path("/var/lib/ordo"), Path("/var/tmp/ordo"))  # noqa: S108 - names made by mkdtemp inside
OTHERS_ENTER, OTHERS_READ = 0o001, 0o004


@dataclass(frozen=True)
class Account:
    """A user and group id to run as."""

    uid: int
    gid: int


def service_account() -> Account | None:
    """None when we are an ordinary user and Postgres runs as ourselves; `nobody` when we are root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(FALLBACK_ID, FALLBACK_ID)
    return Account(entry.pw_uid, entry.pw_gid)


def owner_account(folder: Path, account: Account) -> Account:
    """The account that already owns a data folder, unless that is root: its files stay its own."""
    status = folder.stat()
    return account if status.st_uid == 0 else Account(status.st_uid, status.st_gid)


def others_can_enter(folder: Path) -> bool:
    """True when any account can pass through every folder down to and including this one."""
    real = folder.resolve()
    return all(step.stat().st_mode & OTHERS_ENTER for step in (real, *real.parents))


def others_can_run(program: Path) -> bool:
    """True when any account can reach, read and run this program."""
    mode = program.resolve().stat().st_mode
    return others_can_enter(program.parent) and bool(mode & OTHERS_ENTER) and bool(mode & OTHERS_READ)


def open_folder(link: Path) -> Path:
    """A folder every account can pass through, remembered by a symbolic link at `link`; the same one next time."""
    if link.is_symlink() and link.is_dir():
        return link.resolve()
    link.unlink(missing_ok=True)
    problem: OSError | None = None
    for parent in OPEN_FOLDERS:
        try:
            parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if parent.is_symlink() or parent.stat().st_uid != 0 or not others_can_enter(parent):
                continue
            made = Path(tempfile.mkdtemp(prefix="server-", dir=parent))
        except OSError as failed:
            problem = failed
            continue
        made.chmod(0o755)
        link.symlink_to(made)
        return made
    raise PermissionError(
        f"as root, Postgres needs a folder that other accounts can enter, and none of {OPEN_FOLDERS} will do"
    ) from problem


def remove_open_folder(link: Path) -> None:
    """Removes the folder behind such a link, and the link; nothing else is ever removed."""
    if not link.is_symlink():
        return
    target = link.resolve()
    if target.parent in OPEN_FOLDERS and target.name.startswith("server-"):
        shutil.rmtree(target, ignore_errors=True)
    link.unlink(missing_ok=True)
