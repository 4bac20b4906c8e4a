"""A small file system of its own for a server's data, which can be filled to the last byte and freed again."""

import contextlib
import os
import subprocess
from pathlib import Path

COMMAND_LIMIT_S = 30.0
FILLER = "filler"
SMALLEST_PIECE_BYTES = 4096
FULL_AT_BYTES = 8192
FILL_ROUNDS_LIMIT = 200


class CannotMount(RuntimeError):
    """This machine does not let us mount a file system; the text says what was tried."""


def _run(*argv: str) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False, stdin=subprocess.DEVNULL
    )
    return "" if done.returncode == 0 else f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}"


class SmallDisk:
    """A file system in one (sparse) file; in memory where the kernel has no loop devices. Both need root."""

    def __init__(self, image: Path, at: Path, size_mib: int) -> None:
        self._image = image
        self.at = at
        self._size_mib = size_mib
        self._mounted = False

    def mount(self) -> None:
        """Make the file system and mount it; raises CannotMount."""
        self.at.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(self._size_mib * 1024 * 1024)
        # Without reserved blocks: root too finds the disk full. Without a journal: no power is lost here.
        problems = [_run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(self._image))]
        if not problems[0]:
            problems.append(_run("mount", "-o", "loop", str(self._image), str(self.at)))
        if any(problems):
            problems.append(_run("mount", "-t", "tmpfs", "-o", f"size={self._size_mib}m", "tmpfs", str(self.at)))
            if problems[-1]:
                raise CannotMount("; ".join(filter(None, problems)))
        self._mounted = True
        self.at.chmod(0o755)

    def fill(self) -> None:
        """Take every free byte."""
        with (self.at / FILLER).open("ab") as filler:
            piece = self._free_bytes()
            for _ in range(FILL_ROUNDS_LIMIT):
                if self._free_bytes() < FULL_AT_BYTES or piece < SMALLEST_PIECE_BYTES:
                    return
                try:
                    os.posix_fallocate(filler.fileno(), filler.seek(0, os.SEEK_END), piece)
                except OSError:
                    piece //= 2

    def free(self) -> None:
        """Give back what was taken."""
        (self.at / FILLER).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Unmount, at the latest when the last process lets go of it."""
        if self._mounted:
            self._mounted = False
            with contextlib.suppress(OSError):
                self.free()
            if _run("umount", str(self.at)):
                _run("umount", "-l", str(self.at))
        self._image.unlink(missing_ok=True)

    def _free_bytes(self) -> int:
        found = os.statvfs(self.at)
        return found.f_bavail * found.f_frsize
