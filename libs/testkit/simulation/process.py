"""One simulated process of a service: the production worker over simulated clients; it can die or freeze anywhere."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from libs.decide import Command, Handlers, Reply
from libs.stream.desk import NotServing, Overloaded
from libs.stream.limits import Limits
from libs.stream.worker import Worker
from libs.testkit.simulation.cluster import SimLog
from libs.testkit.simulation.database import SimDatabase, SimJournal

if TYPE_CHECKING:
    from libs.testkit.simulation.world import World


class Dead(BaseException):
    """The process is gone: nothing it still tries has any effect."""


class Gone(Exception):
    """Whoever asked gets no answer: the process died, froze or takes too long."""


@dataclass(frozen=True)
class Unit:
    """One shard of one service, as every process of it is built."""

    handlers: Handlers
    limits: Limits
    destinations: tuple[str, ...] = ()
    shard: int = 0
    shards: int = 1

    @property
    def name(self) -> str:
        """The service and shard."""
        return f"{self.handlers.service}/{self.shard}"


class Process:
    """Starts at once. `gone` resolves when it is no more, however it ended."""

    def __init__(self, world: "World", unit: Unit, database: SimDatabase, number: int) -> None:
        self.world = world
        self.unit = unit
        self.name = f"{unit.name}#{number}"
        self.dead = False
        self.offset = timedelta(0)
        self._thaw: asyncio.Event | None = None
        self.journal: SimJournal = world.parts.journal(self, database)
        self.log: SimLog = world.parts.log(self)
        self.worker: Worker = world.parts.worker(
            unit.handlers,
            self.journal,
            self.log,
            owner=self.name,
            clock=self.clock,
            senders={name: world.outside.sender(self, name) for name in unit.destinations},
            limits=unit.limits,
            shard=unit.shard,
            shards=unit.shards,
        )
        loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.task = loop.create_task(self._run())

    def clock(self) -> datetime:
        """Return this process's wall clock, which may be wrong."""
        return self.world.now() + self.offset

    async def _run(self) -> None:
        try:
            await self.worker.run()
        except Dead:
            pass
        except asyncio.CancelledError:
            if not self.dead:
                raise
        except Exception as error:  # noqa: BLE001 - whatever ends a worker by itself is what the run looks for
            if not self.dead:
                self.world.fail(f"{self.name} stopped by itself: {error!r}")
        finally:
            self.dead = True
            self.journal.forget()
            if not self.gone.done():
                self.gone.set_result(None)

    # -- what may happen to it ---------------------------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Tell whether it stands still."""
        return self._thaw is not None

    def freeze(self) -> None:
        """Let it stand still, as after SIGSTOP: what is under way stays under way."""
        if self._thaw is None:
            self._thaw = asyncio.Event()

    def thaw(self) -> None:
        """Let it go on where it stood."""
        if self._thaw is not None:
            self._thaw.set()
            self._thaw = None
            if not self.dead and self.journal.is_superseded:
                self.world.faults.hit("met: a zombie after its lease was gone")

    async def gate(self) -> None:
        """Wait while the process is frozen; end it here if it is dead."""
        while self._thaw is not None and not self.dead:
            await self._thaw.wait()
        if self.dead:
            raise Dead

    def kill(self, point: str) -> None:
        """End it now, as kill -9 does; raises when called from within."""
        if self.dead:
            return
        self.dead = True
        self.world.note(f"{self.name} dies: {point}")
        self.thaw()
        self.journal.forget()
        if asyncio.current_task() is self.task:
            raise Dead
        self.task.cancel()

    def may_crash(self, point: str) -> bool:
        """Tell whether it is to die at this point."""
        return not self.dead and self.world.faults.happens(f"crash: {point}")

    def crash_point(self, point: str) -> None:
        """Die here, if the dice say so."""
        if self.may_crash(point):
            self.kill(point)
        if self.dead:
            raise Dead

    # -- what is asked of it -----------------------------------------------------------------------------------------

    async def ask(self, command: Command, key: str, patience_s: float) -> Reply:
        """Submit a command as a request over a connection; raises Gone when no answer comes back."""
        return await self._answer(self.worker.submit(command, key), patience_s)

    async def redrive(self, key: str, patience_s: float) -> Reply:
        """Redrive a key's parked messages."""
        return await self._answer(self.worker.redrive(key), patience_s)

    async def _answer(self, asking: Coroutine[Any, Any, Reply], patience_s: float) -> Reply:
        task = asyncio.get_running_loop().create_task(asking)
        waiting: set[asyncio.Future[Any]] = {task, self.gone}
        try:
            await asyncio.wait(waiting, timeout=patience_s, return_when="FIRST_COMPLETED")
            if self.dead or self.frozen or not task.done():
                raise Gone
            return task.result()
        except (NotServing, Overloaded) as error:
            raise Gone from error
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
