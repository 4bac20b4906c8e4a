"""The loop of a service: fetch, decide, commit, publish; whatever dies, it goes on from what is durable."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import structlog
from msgspec.structs import replace

from contracts.topics import PARKED, TOPICS, topics_read_by
from libs.decide import Command, Due, Handlers, Reply, State, problem
from libs.stream import metrics
from libs.stream.batch import (
    Input,
    Poisoned,
    Writer,
    changes_of,
    decide,
    more_needs_of,
    needs_of,
    own_input,
    put_behind,
)
from libs.stream.companions import Companion, accompany
from libs.stream.desk import Desk, NotServing, answer_if_waiting
from libs.stream.egress import Egress, Sender
from libs.stream.journal import Changes, Fenced, Journal, JournalAway, Resume, Unsaveable, fill
from libs.stream.limits import Limits, Readiness, lag_of
from libs.stream.log import FetchFailed, Log, Place, PositionLost, PublishFailed, Record
from libs.stream.pace import Pace
from libs.stream.publisher import Publisher, must_run
from libs.stream.reader import Acceptance, Reader
from libs.stream.redrive import redrive
from libs.stream.service_time import ServiceTime

DECIDED_ANEW_LIMIT_INPUTS = 100


class Worker:
    """Runs one shard of one service. One process at a time holds its lease; the others stand by."""

    def __init__(
        self,
        handlers: Handlers,
        journal: Journal,
        log: Log,
        *,
        owner: str,
        clock: Callable[[], datetime],
        senders: Mapping[str, Sender] | None = None,
        limits: Limits | None = None,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        self.handlers = handlers
        self.service = handlers.service
        self.limits = limits or Limits()
        self._journal, self._log, self._owner = journal, log, owner
        self._clock = clock
        self._time = ServiceTime(clock)
        self._shard, self._shards = shard, shards
        self._desk = Desk(self.service, self.limits.queue_commands, self.limits.answer_timeout_ms)
        self._stopping = self._serving = False
        self._why_not, self._halted = "starting", ""
        self._positions: dict[Place, int] = {}
        self._beginnings: dict[Place, int] = {}
        self._last_lag_ms = 0
        self._reader = Reader(handlers)
        self._publisher = Publisher(log, self._acked, self._publish_failed)
        metrics.UNSENT.labels(self.service).set_function(lambda: self._publisher.unsent_records)
        self.companions: Sequence[Companion] = ()
        known = {} if senders is None else senders  # whoever makes them may have to know the worker first
        calls, in_order = self.limits.calls_in_flight, handlers.in_order
        self._egress = Egress(self.service, journal, known, self._desk.deliver, self._time, calls, in_order)
        self._resume = Resume(epoch=0, batch_no=0, decided_at=clock())
        self._writer = Writer(self.service, shard, 1, 1, {})
        self._line = structlog.get_logger().bind(service=self.service, shard=shard)

    async def submit(self, command: Command, idempotency_key: str) -> Reply:
        """Have a command decided and committed; a key used before gets the answer it got then.

        Raises Overloaded when the queue is full and NotServing when no answer came in time; asking again is safe.
        """
        if not self._serving:
            raise NotServing(self._why_not)
        return await self._desk.submit(command, idempotency_key)

    async def redrive(self, key: str) -> Reply:
        """Decide the parked messages of a key again, in their order."""
        if not self._serving:
            raise NotServing(self._why_not)
        return await self._desk.redrive(key)

    async def readiness(self) -> Readiness:
        """Tell whether partitions are owned, the log is readable and the lag is bounded."""
        if not self._serving:
            return Readiness(False, [self._halted or self._why_not])
        if self._publisher.unsent_records >= self.limits.unsent_records:
            return Readiness(False, [f"{self._publisher.unsent_records} events wait to be published"])
        found = await lag_of(self._log, self._positions, self._last_lag_ms, self.limits.ready_lag_ms)
        metrics.LAG_RECORDS.labels(self.service).set(found.lag_records)
        return found

    @property
    def now(self) -> datetime:
        """The time that the next decision sees."""
        return self._time()

    def stop(self) -> None:
        """Finish the batch, flush, give the lease back and leave `run`."""
        self._stopping = True
        self._why_not = "stopping"
        self._desk.news.set()

    async def run(self) -> None:
        """Serve until `stop`: take the lease, work, and after any failure take it again from what is durable."""
        retry_ms = self.limits.retry_first_ms
        while not self._stopping:
            batch_no = self._resume.batch_no
            try:
                await self._serve()
            except Fenced as error:
                self._failed("fenced", error)
            except JournalAway as error:
                self._failed("database away", error)
            except FetchFailed as error:
                self._failed("log away", error)
            except PositionLost as error:
                self._halted = f"halted: {error}"
                self._failed("position lost", error)
            except Exception:
                self._line.exception("stopping: this failure was not foreseen")
                raise
            if self._resume.batch_no > batch_no:
                retry_ms = self.limits.retry_first_ms
            if not self._stopping:
                await asyncio.sleep(retry_ms / 1000)
                retry_ms = min(retry_ms * 2, self.limits.retry_last_ms)
        self._desk.close()

    def _failed(self, kind: str, error: Exception) -> None:
        self._why_not = kind
        metrics.FAILURES.labels(self.service, kind).inc()
        self._line.warning("starting again from what is durable", kind=kind, error=str(error))

    async def _serve(self) -> None:
        """Hold the lease and work until something fails or `stop` is called."""
        if not await self._acquire():
            return
        helpers: list[asyncio.Task[None]] = []
        try:
            await self._take_positions()
            self._publisher = Publisher(self._log, self._acked, self._publish_failed)
            helpers.append(asyncio.create_task(self._publisher.run()))
            await self._resend(helpers)
            helpers.append(asyncio.create_task(self._egress.run()))
            self._halted = ""
            self._serving = True
            helpers += [asyncio.create_task(accompany(self.service, each)) for each in self.companions]
            self._line.info("serving", epoch=self._resume.epoch, batch_no=self._resume.batch_no)
            await self._work(helpers)
            await self._publisher.room(1, self.limits.lease_ms / 1000)
            await self._journal.renew(self.limits.lease_ms, self._writer.heads)
            await self._journal.release()
        finally:
            self._serving = False
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._desk.drop_deliveries()
            await self._journal.rollback()

    async def _acquire(self) -> bool:
        while not self._stopping:
            resume = await self._journal.acquire(self._owner, self.limits.lease_ms)
            if resume is not None:
                self._resume = resume
                self._time.keep(resume.decided_at)
                return True
            self._why_not = "standing by: another process holds the lease"
            await asyncio.sleep(self.limits.lease_ms / 1000 / 10)
        return False

    async def _take_positions(self) -> None:
        resume = self._resume
        places: list[Place] = []
        for topic in topics_read_by(self.service):
            count = await self._log.partitions(topic.name)
            places.extend((topic.name, part) for part in range(count) if part % self._shards == self._shard)
        self._beginnings = await self._log.beginnings(places) if places else {}
        new = {place: self._beginnings[place] for place in places if place not in resume.offsets}
        if new:
            await self._journal.start_offsets(new)
            resume.offsets.update(new)
        self._positions = {place: resume.offsets[place] for place in places}
        await self._log.read_from(self._positions)
        written = next(topic for topic in (*TOPICS, PARKED[self.service]) if topic.writer == self.service)
        partitions = await self._log.partitions(written.name)
        self._writer = Writer(self.service, self._shard, 1, partitions, resume.heads)
        metrics.PARKED.labels(self.service).set(len(resume.parked_keys))

    async def _resend(self, helpers: Sequence["asyncio.Task[None]"]) -> None:
        """Publish again what was committed but not known to be acknowledged."""
        resent = 0
        async for rows in self._journal.unsent(self._writer.heads, 1_000):
            records = [replace(o, headers=self._writer.headers(o.seq, kind, cause)) for o, kind, cause in rows]
            resent += len(records)
            if not await self._room(helpers):
                return
            self._publisher.offer(records)
        if resent:
            self._line.info("resending from the outbox", records=resent)

    async def _room(self, helpers: Sequence["asyncio.Task[None]"]) -> bool:
        """Wait until more may be published, the lease kept meanwhile; False when it is time to stop."""
        while not await self._publisher.room(self.limits.unsent_records, self.limits.lease_ms / 3000):
            must_run(helpers)
            if self._stopping:
                return False
            await self._journal.renew(self.limits.lease_ms, self._writer.heads)
        return True

    async def _work(self, helpers: Sequence["asyncio.Task[None]"]) -> None:
        renew_s = self.limits.lease_ms / 3000
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        pace = Pace(self.limits.rests, self.limits.rest_limit_ms)
        fetching: asyncio.Task[list[Record]] | None = None
        news: asyncio.Task[bool] | None = None
        try:
            while not self._stopping and await self._room(helpers):
                await asyncio.sleep(pace.rest_s(loop.time()))
                fetching = fetching or asyncio.create_task(
                    self._log.fetch(self.limits.batch_inputs, self.limits.fetch_timeout_ms)
                )
                news = news or asyncio.create_task(self._desk.news.wait())
                waited = {fetching, news, *helpers}
                await asyncio.wait(waited, timeout=self._until_due(renew_s), return_when="FIRST_COMPLETED")
                must_run(helpers)
                records, fetching = (fetching.result(), None) if fetching.done() else ([], fetching)
                if news.done():
                    self._desk.news.clear()
                    news = None
                began = loop.time()
                if await self._round(records):
                    renewed = loop.time()
                    pace.note(began, renewed, full=len(records) == self.limits.batch_inputs)
                elif loop.time() - renewed >= renew_s:
                    await self._journal.renew(self.limits.lease_ms, self._writer.heads)
                    renewed = loop.time()
        finally:
            rest = [task for task in (fetching, news) if task is not None]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    def _until_due(self, at_most_s: float) -> float:
        if self._desk.waiting:
            return 0.0
        if self._resume.next_due is None:
            return at_most_s
        return min(at_most_s, self._time.seconds_until(self._resume.next_due))

    async def _round(self, records: Sequence[Record]) -> bool:
        """Decide what has come; returns whether anything was committed."""
        now = self.now
        inputs = self._accepted(records)
        due: list[Due] = []
        if self._resume.next_due is not None and self._resume.next_due <= now:
            due, self._resume.next_due = await self._journal.due(now, self.limits.timers_per_batch)
        # Nothing may fail between here and the decision but what puts commands back: nobody else remembers them.
        commands = await self._desk.take(self.limits.batch_inputs, self._journal, self._resume.parked_keys)
        inputs += [asked.item for asked in commands]
        inputs += [own_input(message) for message in due]
        deliveries = self._desk.take_deliveries()
        inputs += [own_input(message) for message, _ in deliveries]
        try:
            if inputs:
                await self._process(inputs, now)
        except BaseException:
            self._desk.put_back(commands, deliveries)
            raise
        for done in [done for _, done in deliveries if not done.done()]:
            done.set_result(None)
        redrives = self._desk.take_redrives()
        try:
            for key, answer in redrives:
                answer_if_waiting(answer, await self._redrive(key))
        except BaseException as error:
            for _, answer in redrives:
                answer_if_waiting(answer, NotServing(repr(error)))
            raise
        return bool(inputs or redrives)

    def _accepted(self, records: Sequence[Record]) -> list[Input]:
        if not records:
            return []
        counts = Acceptance()
        inputs = self._reader.accept(records, self._resume.seqs, self._beginnings.__getitem__, counts)
        metrics.note_verdicts(self.service, asdict(counts))
        if counts.gaps or counts.refused:
            self._line.error("records out of sequence or not ours", gaps=counts.gaps, refused=counts.refused)
        oldest_ms = min(record.timestamp_ms for record in records)
        self._last_lag_ms = max(0, int(self._clock().timestamp() * 1000) - oldest_ms)
        metrics.LAG_SECONDS.labels(self.service).set(self._last_lag_ms / 1000)
        return inputs

    async def _process(self, inputs: list[Input], now: datetime) -> None:
        """Commit the inputs; what the database refuses is halved until the one message to park is alone.

        A long batch with a message that nobody can decide is halved too: decided anew for each of thousands of them, it
        would never end.
        """
        put_behind(inputs, self._resume.parked_keys)
        try:
            await self._commit(inputs, now)
        except (Unsaveable, Poisoned) as error:
            await self._journal.rollback()
            if len(inputs) > 1:
                middle = len(inputs) // 2
                await self._process(inputs[:middle], now)
                await self._process(inputs[middle:], self.now)
                return
            remaining = self._set_aside(inputs, 0, str(error))
            if remaining:
                await self._commit(remaining, now)

    async def _commit(self, inputs: list[Input], now: datetime, *, redrive: bool = False) -> None:
        started = asyncio.get_running_loop().time()
        await self._journal.begin()
        for _ in range(len(inputs) + 1):
            state = State()
            try:
                await fill(self._journal, state, needs_of(self.handlers, inputs))
                await fill(self._journal, state, more_needs_of(self.handlers, inputs, state))
                decided = decide(self.handlers, inputs, state, now)
                changes = changes_of(inputs, decided, state, self._writer, self._resume.batch_no + 1, now)
                break
            except Poisoned as poison:
                if redrive or len(inputs) > DECIDED_ANEW_LIMIT_INPUTS:
                    raise
                inputs = self._set_aside(inputs, poison.place, poison.error)
        await self._journal.commit(changes, self.limits.lease_ms)
        self._committed(changes)
        took_s = asyncio.get_running_loop().time() - started
        metrics.COMMIT_SECONDS.labels(self.service).observe(took_s)
        metrics.BATCH_RECORDS.labels(self.service).observe(len(inputs))
        self._line.debug(
            "batch", batch_no=changes.batch_no, inputs=len(inputs), events=len(changes.outbox), took_s=took_s
        )

    def _set_aside(self, inputs: list[Input], place: int, error: str) -> list[Input]:
        """Park the message at `place` and those of its key after it; a command is answered instead."""
        poisoned = inputs[place]
        self._line.error("message set aside", key=poisoned.key, type=poisoned.type, cause=poisoned.cause, error=error)
        if isinstance(poisoned.message, Command):
            self._desk.settle(poisoned.idempotency_key, problem(500, "this request could not be decided", error))
            return [item for item in inputs if item is not poisoned]
        poisoned.park = error
        put_behind(inputs[place + 1 :], {poisoned.key})
        return inputs

    def _committed(self, changes: Changes) -> None:
        resume = self._resume
        resume.batch_no = changes.batch_no
        resume.decided_at = changes.decided_at
        self._time.keep(changes.decided_at)
        for place, (_, new) in changes.offsets.items():
            self._positions[place] = new
        for place, head in changes.heads.items():
            known = self._writer.heads.get(place)
            if known is not None:
                head.cursor = max(head.cursor, known.cursor)
            self._writer.heads[place] = head
        self._publisher.offer([outgoing for outgoing, _, _ in changes.outbox])
        for at in changes.timers_set.values():
            resume.next_due = at if resume.next_due is None else min(resume.next_due, at)
        if changes.parked:
            resume.parked_keys.update(parked.key for parked in changes.parked)
            metrics.PARKED.labels(self.service).set(len(resume.parked_keys))
        if changes.sends:
            self._egress.nudge()
        for answered in changes.answered:
            self._desk.settle(answered.idempotency_key, answered.reply)

    async def _redrive(self, key: str) -> Reply:
        reply = await redrive(key, self.handlers, self._journal, lambda i: self._commit([i], self.now, redrive=True))
        if reply.status == 200:
            self._resume.parked_keys.discard(key)
            metrics.PARKED.labels(self.service).set(len(self._resume.parked_keys))
        return reply

    def _acked(self, place: Place, seq: int) -> None:
        head = self._writer.heads[place]
        head.cursor = max(head.cursor, seq)

    def _publish_failed(self, error: PublishFailed) -> None:
        metrics.FAILURES.labels(self.service, "publish").inc()
        self._line.warning("publishing again from the first unacknowledged record", error=str(error))
