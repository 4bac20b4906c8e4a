"""One run: everything one seed drives, from the broker down to the wall clocks, in two phases: faults, then healing."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from libs.decide import Command, Handlers, Reply
from libs.stream.log import Outgoing
from libs.stream.worker import Worker
from libs.testkit.simulation.cluster import SimCluster, SimLog, Stream
from libs.testkit.simulation.database import SimDatabase, SimJournal
from libs.testkit.simulation.faults import Faults, Trace
from libs.testkit.simulation.locks import Locks
from libs.testkit.simulation.outside import Outside
from libs.testkit.simulation.process import Gone, Process, Unit

START = datetime(2026, 11, 11, tzinfo=UTC)
COPIES_LIMIT = 3
ASK_LIMIT = 400
# Answers that are not final: the key may be decided later.
PASSING = (423, 500)


@dataclass(frozen=True)
class Parts:
    """What processes are made of; a mutant swaps one."""

    worker: type[Worker] = Worker
    journal: type[SimJournal] = SimJournal
    log: type[SimLog] = SimLog
    handlers: Callable[[Handlers], Handlers] = lambda handlers: handlers


@dataclass
class Shard:
    """One shard of one service: its database and whoever runs it."""

    unit: Unit
    database: SimDatabase
    processes: list[Process] = field(default_factory=list)
    started: int = 0


class World:
    """Holds everything of one run. `fail` ends it: the first thing that is wrong is what gets reported."""

    def __init__(self, seed: int, parts: Parts | None = None, *, partitions: int | None = None) -> None:
        self.seed = seed
        self.parts = parts or Parts()
        self.dice = Random(seed)
        self.loop = asyncio.get_running_loop()
        self.trace = Trace()
        self.failures: list[str] = []
        self.faults = Faults(self.dice, self.note)
        self.cluster = SimCluster(self, partitions or self.dice.choice((1, 2, 2, 3)))
        self.outside = Outside(self)
        self.committed: dict[tuple[Stream, int], Outgoing] = {}
        self.shards: dict[str, Shard] = {}
        self.answers: dict[tuple[str, str], Reply] = {}
        self.alarms: list[str] = []
        self.healing = False
        self._mean_s = self.dice.choice((0.001, 0.003, 0.01))
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- time and words ----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the true time."""
        return START + timedelta(seconds=self.loop.time())

    def short(self) -> float:
        """Return how long something short takes: mostly next to nothing, sometimes a thousand times that."""
        roll = self.dice.random()
        if roll < 0.5:
            return 0.0
        if roll > 0.995 and self.faults.on:
            return self.dice.uniform(0.2, 2.0)
        return self.dice.expovariate(1.0) * self._mean_s

    def note(self, text: str) -> None:
        """Take in an event of the run."""
        self.trace.note(self.loop.time(), text)

    def fail(self, text: str) -> None:
        """Report what must never be."""
        self.note(f"WRONG: {text}")
        if len(self.failures) < 10:
            self.failures.append(text)

    # -- who runs ----------------------------------------------------------------------------------------------------

    def add(self, unit: Unit, *, locks: Locks | None = None) -> Shard:
        """Add a shard of a service and keep a process of it running."""
        unit = replace(unit, handlers=self.parts.handlers(unit.handlers))
        database = SimDatabase(self, unit.handlers.service, unit.shard, locks)
        shard = self.shards[unit.name] = Shard(unit, database)
        self.spawn(self._keep(shard))
        return shard

    def spawn(self, running: Any) -> "asyncio.Task[Any]":
        """Run something that belongs to no process."""
        task = self.loop.create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.fail(f"the simulation itself failed: {task.exception()!r}")

    def start(self, shard: Shard) -> Process:
        """Start one more process."""
        shard.started += 1
        process = Process(self, shard.unit, shard.database, shard.started)
        self.note(f"{process.name} starts")
        shard.processes.append(process)
        process.gone.add_done_callback(lambda _: shard.processes.remove(process))
        return process

    async def _keep(self, shard: Shard) -> None:
        while True:
            process = self.start(shard)
            await asyncio.wait({process.gone})
            await asyncio.sleep(self.dice.uniform(0.01, 3.0) if self.faults.on else 0.05)

    def database(self, service: str, shard: int = 0) -> SimDatabase:
        """Return a shard's database."""
        return self.shards[f"{service}/{shard}"].database

    # -- what is asked -----------------------------------------------------------------------------------------------

    async def ask(self, service: str, command: Command, key: str, shard: int = 0) -> Reply:
        """Ask until there is an answer, as a client does that must not give up; every answer to a key is the same."""
        for attempt in range(ASK_LIMIT):
            running = self.shards[f"{service}/{shard}"].processes
            if running:
                process = self.dice.choice(running)
                impatient = self.faults.happens("client: impatient")
                try:
                    reply = await process.ask(command, key, self.dice.uniform(0.0, 0.2) if impatient else 12.0)
                except Gone:
                    pass
                else:
                    self._answered(service, key, reply)
                    if not self.faults.happens("client: answer lost"):
                        return reply
            await asyncio.sleep(self.dice.uniform(0.05, 0.5) * min(attempt + 1, 6))
        raise TimeoutError(f"{service} never answered {type(command).__name__} {key}")

    def _answered(self, service: str, key: str, reply: Reply) -> None:
        if reply.status in PASSING:
            return
        known = self.answers.setdefault((service, key), reply)
        if known != reply:
            self.fail(f"{service} answered {key} with {known.status} {known.body}, then {reply.status} {reply.body}")

    # -- what goes wrong by itself -----------------------------------------------------------------------------------

    def freeze(self, process: Process) -> None:
        """Freeze a process for a while: often longer than its lease."""
        process.freeze()
        self.note(f"{process.name} stands still")
        seconds = self.dice.uniform(0.1, 2.2) * process.unit.limits.lease_ms / 1000
        self.loop.call_later(seconds, process.thaw)

    def later(self, records: Sequence[Outgoing]) -> None:
        """Append records some time after their writer gave up waiting."""

        def land() -> None:
            if not self.cluster.down:
                for record in records:
                    self.cluster.append(record)

        self.loop.call_later(self.dice.uniform(0.001, 2.0), land)

    async def trouble(self) -> None:
        """Make things happen until healing begins."""
        moments = self._moments()
        while self.faults.on:
            await asyncio.sleep(self.dice.expovariate(1.0) * 0.8)
            point = self.faults.moment()
            if point is not None and self.faults.on and moments[point]():
                self.faults.hit(point)

    def _moments(self) -> dict[str, Callable[[], bool]]:
        return {
            "log: broker restarts": self._restart_broker,
            "log: broker loses its tail": self._lose_tail,
            "journal: restarts": self._restart_database,
            "crash: any time": lambda: self._some(lambda process: process.kill("any time")),
            "stopped: in good order": lambda: self._some(lambda process: process.worker.stop()),
            "frozen: any time": lambda: self._some(self.freeze),
            "copies: two at once": self._start_copy,
            "clock: jumps": lambda: self._some(self._jump),
        }

    def _some(self, act: Callable[[Process], Any]) -> bool:
        running = [process for shard in self.shards.values() for process in shard.processes if not process.frozen]
        if running:
            act(self.dice.choice(running))
        return bool(running)

    def _jump(self, process: Process) -> None:
        process.offset += timedelta(seconds=self.dice.choice((-1, 1)) * self.dice.uniform(0.05, 15.0))

    def _start_copy(self) -> bool:
        shard = self.dice.choice(list(self.shards.values()))
        if len(shard.processes) >= COPIES_LIMIT:
            return False
        self.start(shard)
        return True

    def _restart_broker(self) -> bool:
        if not self.cluster.down:
            self.cluster.down = True
            self.loop.call_later(self.dice.uniform(0.05, 3.0), self._broker_back)
        return True

    def _broker_back(self) -> None:
        self.cluster.down = False
        for readers in self.cluster.readers.values():
            for reader in readers:
                reader.news.set()

    def _lose_tail(self) -> bool:
        places = [place for place, records in self.cluster.records.items() if records]
        if not places or self.cluster.lost:
            return False
        place = self.dice.choice(places)
        self.alarms.clear()  # what was said before cannot be about this
        self.cluster.lose_tail(place, self.dice.randint(1, min(5, len(self.cluster.at(place)))))
        return self._restart_broker()

    def _restart_database(self) -> bool:
        database = self.dice.choice(list(self.shards.values())).database
        database.down = True
        self.loop.call_later(self.dice.uniform(0.05, 3.0), lambda: setattr(database, "down", False))
        return True

    # -- healing -----------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """End all faults: from here on everything must come to rest."""
        self.note("healing begins")
        self.faults.on = False
        self.healing = True
        self._broker_back()
        for shard in self.shards.values():
            shard.database.down = False
            for process in list(shard.processes):
                process.thaw()
            for process in shard.processes[1:]:
                process.worker.stop()

    def unrest(self) -> list[str]:
        """Return what is still under way; nothing means that the system is at rest."""
        found = []
        now = self.now()
        for name, shard in self.shards.items():
            stored = shard.database.stored
            if not any(process.journal.holds_lease for process in shard.processes):
                found.append(f"{name}: nobody has taken the lease")
            for place, offset in stored.offsets.items():
                end = len(self.cluster.records.get(place, ()))
                if offset != end:
                    found.append(f"{name} stands at {offset} of {place[0]}/{place[1]}, which ends at {end}")
            for (topic, part), head in stored.heads.items():
                prefix = self.cluster.prefix.get((f"{name}/1", topic, part), 0)
                if prefix != head.next_seq - 1:
                    found.append(f"{name}: readers get {prefix} of {head.next_seq - 1} in {topic}/{part}")
            late = [timer for timer, at in stored.timers.items() if at <= now]
            if late:
                found.append(f"{name}: {len(late)} timers have come: {late[0]}")
            waiting = [key for key, row in stored.egress.items() if row["next_try_at"] is not None]
            if waiting:
                found.append(f"{name}: {len(waiting)} calls have no outcome: {waiting[0]}")
        return found

    async def stop(self) -> None:
        """Stop every process in good order, and end everything else."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for shard in self.shards.values():
            for process in list(shard.processes):
                process.worker.stop()
                await asyncio.wait({process.gone}, timeout=60.0)
                if not process.dead:
                    self.fail(f"{process.name} did not stop when it was asked to")
                    process.kill("at the end")
