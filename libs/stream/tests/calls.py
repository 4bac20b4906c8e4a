"""What tests of outward calls share: time that stands still, the other side, and an egress over a memory journal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from libs.decide import Delivered, Send, State
from libs.stream.egress import Egress
from libs.stream.journal import Changes, JournalAway
from libs.stream.memory import MemoryJournal, Stored

START = datetime(2026, 11, 11, tzinfo=UTC)
IN_FLIGHT = 8


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Far:
    """The other side: answers what it is told, by send id or for everybody; counts the calls."""

    def __init__(self, answer: Callable[[Send, int], Awaitable[str]] | str | Exception = "taken") -> None:
        self.answer = answer
        self.calls: list[tuple[str, int]] = []
        self.inside = self.most_inside = 0

    async def send(self, request: Send, attempt: int) -> str:
        self.calls.append((request.send_id, attempt))
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer if isinstance(self.answer, str) else await self.answer(request, attempt)
        finally:
            self.inside -= 1


class Desk:
    """Takes results in as the worker does: with the next batch, which closes the row."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.results: list[Delivered] = []
        self.away = False

    async def deliver(self, delivered: Delivered) -> None:
        if self.away:
            raise JournalAway("not recorded")
        self.results.append(delivered)
        row = self.stored.egress[(delivered.destination, delivered.send_id)]
        row.update(attempts=delivered.attempts, next_try_at=None, outcome="sent" if delivered.ok else "refused")


class Bench:
    """An egress over a memory journal with time of its own."""

    def __init__(
        self, senders: dict[str, Far], stored: Stored | None = None, *, in_order: Collection[str] = ()
    ) -> None:
        self.clock, self.stored = Clock(), stored or Stored()
        self.desk = Desk(self.stored)
        self.journal = MemoryJournal(self.stored, self.clock)
        self.egress = Egress(
            "risk", self.journal, senders, self.desk.deliver, self.clock, IN_FLIGHT, in_order, jitter=lambda: 1.0
        )

    def write(self, *send_ids: str, to: str = "out", key: str = "o1", not_before: datetime | None = None) -> None:
        """Write calls as a committed batch would."""
        for send_id in send_ids:
            send = Send(destination=to, send_id=send_id, key=key, body={"n": 1}, not_before=not_before)
            changes = Changes(batch_no=self.stored.batch_no + 1, decided_at=self.clock.now, state=State(), sends=[send])
            self.journal._apply(changes)
        self.egress.nudge()

    def row(self, send_id: str, to: str = "out") -> tuple[int, float | None]:
        """The attempts made, and in how many seconds the next one is due."""
        row = self.stored.egress[(to, send_id)]
        due = row["next_try_at"]
        return row["attempts"], None if due is None else (due - self.clock.now).total_seconds()

    async def rounds(self, number: int = 3) -> None:
        """Look and let every call that can end do so."""
        for _ in range(number):
            await self.egress._round()
            await asyncio.gather(*[task for flying in self.egress._flying.values() for task in flying.values()])


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.egress.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def held(gate: asyncio.Event) -> Far:
    async def answer(request: Send, attempt: int) -> str:
        await gate.wait()
        return "taken"

    return Far(answer)
