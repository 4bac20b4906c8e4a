"""Where requests from outside wait for the next batch, and get their answer once it is committed."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from libs.decide import Command, Delivered, Reply, problem
from libs.stream import metrics
from libs.stream.batch import Input
from libs.stream.journal import Journal, JournalAway

_encode = msgspec.json.Encoder().encode


class Overloaded(Exception):
    """The queue of commands is full: come back in `retry_after_s`."""

    retry_after_s = 1


class NotServing(Exception):
    """The worker does not own its partitions now (starting, standing by, database away): come back."""

    retry_after_s = 1


@dataclass(slots=True)
class Asked:
    """A command on its way, and who waits for its answer."""

    item: Input
    answer: asyncio.Future[Reply]


Delivery = tuple[Delivered, "asyncio.Future[None]"]


class Desk:
    """A bounded queue of commands, and what the service itself hands in: delivery results and redrives."""

    def __init__(self, service: str, queue_commands: int, answer_timeout_ms: int) -> None:
        self._service = service
        self._queue_commands = queue_commands
        self._answer_timeout_ms = answer_timeout_ms
        self._commands: deque[Asked] = deque()
        self._asked: dict[str, Asked] = {}
        self._deliveries: deque[Delivery] = deque()
        self._redrives: deque[tuple[str, asyncio.Future[Reply]]] = deque()
        self.news = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Tell whether anything waits for a batch."""
        return bool(self._commands or self._deliveries or self._redrives)

    async def submit(self, command: Command, idempotency_key: str) -> Reply:
        """Queue a command and wait for its committed answer; the same request twice waits for one decision."""
        body = _encode(command)
        kind = type(command).__name__
        fingerprint = hashlib.sha256(kind.encode() + (command.sameness or body)).digest()[:16]
        asked = self._asked.get(idempotency_key)
        if asked is not None and asked.item.fingerprint != fingerprint:
            return _key_reused()
        if asked is None:
            if len(self._commands) >= self._queue_commands:
                raise Overloaded
            item = Input(
                key=command.key,
                cause=f"command:{idempotency_key}",
                message=command,
                type=kind,
                idempotency_key=idempotency_key,
                fingerprint=fingerprint,
                body=body,
            )
            asked = Asked(item, asyncio.get_running_loop().create_future())
            self._asked[idempotency_key] = asked
            self._commands.append(asked)
            self.news.set()
        try:
            async with asyncio.timeout(self._answer_timeout_ms / 1000):
                return await asyncio.shield(asked.answer)
        except TimeoutError:
            raise NotServing("no answer in time; asking again with the same key is safe") from None

    async def deliver(self, delivered: Delivered) -> None:
        """Take in what became of an outward call; returns once that is committed, raises JournalAway if it is not."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._deliveries.append((delivered, done))
        self.news.set()
        await done

    async def redrive(self, key: str) -> Reply:
        """Ask for the parked messages of a key to be decided again."""
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._redrives.append((key, done))
        self.news.set()
        try:
            async with asyncio.timeout(self._answer_timeout_ms / 1000):
                return await done
        except TimeoutError:
            raise NotServing("no answer in time; look at what is parked before asking again") from None

    async def take(self, limit: int, journal: Journal, parked_keys: set[str]) -> list[Asked]:
        """Take up to `limit` commands for a batch; those answered before, or behind a parked key, are settled here."""
        taken = [self._commands.popleft() for _ in range(min(len(self._commands), limit))]
        if not taken:
            return []
        try:
            known = await journal.answers([asked.item.idempotency_key for asked in taken])
        except JournalAway:
            self._commands.extendleft(reversed(taken))
            raise
        fresh = []
        for asked in taken:
            key = asked.item.idempotency_key
            answered = known.get(key)
            if answered is not None:
                self.settle(key, answered.reply if answered.fingerprint == asked.item.fingerprint else _key_reused())
            elif asked.item.key in parked_keys:
                self.settle(key, problem(423, "an earlier message of this key waits for an operator"))
            else:
                fresh.append(asked)
        return fresh

    def take_deliveries(self) -> list[Delivery]:
        """Take all delivery results."""
        return [self._deliveries.popleft() for _ in range(len(self._deliveries))]

    def drop_deliveries(self) -> None:
        """Forget results that nobody waits for any more: the calls are made again, by whoever holds the lease then."""
        self._deliveries.clear()

    def take_redrives(self) -> list[tuple[str, "asyncio.Future[Reply]"]]:
        """Take the redrive requests whose answer somebody still waits for."""
        taken = [self._redrives.popleft() for _ in range(len(self._redrives))]
        return [(key, answer) for key, answer in taken if not answer.done()]

    def put_back(self, commands: Sequence[Asked], deliveries: Sequence[Delivery]) -> None:
        """After a failed batch: commands wait again (it may have been committed: their key tells), deliveries fail."""
        self._commands.extendleft(reversed([asked for asked in commands if not asked.answer.done()]))
        for _, done in deliveries:
            if not done.done():
                done.set_exception(JournalAway("not recorded"))

    def settle(self, idempotency_key: str, reply: Reply) -> None:
        """Answer whoever waits."""
        asked = self._asked.pop(idempotency_key, None)
        if asked is None:
            return
        metrics.COMMANDS.labels(self._service, str(reply.status)).inc()
        if not asked.answer.done():
            asked.answer.set_result(reply)

    def close(self) -> None:
        """Tell everybody who still waits to come back later."""
        waiting = [asked.answer for asked in self._asked.values()] + [answer for _, answer in self._redrives]
        for answer in waiting:
            if not answer.done():
                answer.set_exception(NotServing("stopping"))
                answer.exception()


def answer_if_waiting(answer: "asyncio.Future[Reply]", found: Reply | NotServing) -> None:
    """Answer, unless there is an answer already or whoever asked has left."""
    if answer.done():
        return
    if isinstance(found, Reply):
        answer.set_result(found)
    else:
        answer.set_exception(found)


def _key_reused() -> Reply:
    return problem(422, "this idempotency key was used with another request", field="Idempotency-Key")
