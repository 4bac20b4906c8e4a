"""The platforms' doubles as a process of the demo: started on a free port, told what to do, ended with the demo."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.stack import ROOT, StackFailed
from demo.wire import Connections

START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0
SEED = "1"


class Declined(RuntimeError):
    """The doubles' control API said no; the text quotes its answer."""


@dataclass(frozen=True)
class Doubles:
    """The running doubles: `url` is their status page."""

    url: str
    pid: int
    wire: Connections

    async def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the control API."""
        encoded = b"" if body is None else json.dumps(body).encode("utf-8")
        headers = {"content-type": "application/json"} if encoded else {}
        status, found = await self.wire.request(method, f"/control{path}", headers, encoded, {})
        if status >= 300:
            raise Declined(f"{method} /control{path}: HTTP {status} {found}")
        return found


@asynccontextmanager
async def doubles(log: Path) -> AsyncIterator[Doubles]:
    """Run the doubles; however the demo goes on, they are ended."""
    with log.open("ab") as errors:
        # In a session of its own, so that Ctrl-C in the terminal is the demo's to handle.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulators", "--port", "0", "--seed", SEED),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        url = await _address(process, log)
        wire = Connections(url)
        try:
            yield Doubles(url, process.pid, wire)
        finally:
            await wire.close()
    finally:
        await _end(process)


async def _address(process: asyncio.subprocess.Process, log: Path) -> str:
    assert process.stdout is not None, "its output is a pipe"
    first = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_LIMIT_S):
            first = await process.stdout.readline()
    found = [word for word in first.decode("utf-8", "replace").split() if word.startswith("http://")]
    if not found:
        raise StackFailed(f"the platforms' doubles did not start; see {log}")
    return found[0]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
