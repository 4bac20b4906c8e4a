"""The systems outside: they are slow, fail, ask to wait, refuse, and sometimes act without anybody hearing of it."""

import asyncio
from typing import TYPE_CHECKING

from libs.decide import Send
from libs.stream.egress import Refused, Retry

if TYPE_CHECKING:
    from libs.testkit.simulation.process import Process
    from libs.testkit.simulation.world import World

CallKey = tuple[str, str]


class Outside:
    """Counts what arrived: `calls` by idempotency key, `refused` those that got a no for good."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.calls: dict[CallKey, int] = {}
        self.bodies: dict[CallKey, Send] = {}
        self.refused: set[CallKey] = set()

    def sender(self, process: "Process", destination: str) -> "OneDestination":
        """Return a process's way to a destination."""
        return OneDestination(self, process, destination)

    def arrived(self, request: Send) -> None:
        """Take in a call that really came here."""
        key = (request.destination, request.send_id)
        self.calls[key] = self.calls.get(key, 0) + 1
        if self.calls[key] > 1:
            self.world.faults.hit("met: a call made twice")
        known = self.bodies.setdefault(key, request)
        if (known.key, known.body) != (request.key, request.body):
            self.world.fail(f"call {key} came twice, and not the same")


class OneDestination:
    """One process's sender to one destination."""

    def __init__(self, outside: Outside, process: "Process", destination: str) -> None:
        self._outside = outside
        self._process = process
        self._destination = destination

    async def send(self, request: Send, attempt: int) -> str:
        """Deliver a call, in the manner of real systems."""
        world = self._outside.world
        faults = world.faults
        await self._process.gate()
        await asyncio.sleep(world.short())
        if faults.happens("outside: slow"):
            await asyncio.sleep(world.dice.uniform(1.0, 20.0))
        await self._process.gate()
        if faults.happens("outside: fails"):
            raise OSError("connection refused")
        if faults.happens("outside: asks to wait"):
            raise Retry("too many requests", after_seconds=world.dice.uniform(0.5, 3.0))
        key = (request.destination, request.send_id)
        if key in self._outside.refused or (key not in self._outside.calls and faults.happens("outside: refuses")):
            self._outside.refused.add(key)
            raise Refused("not wanted")
        self._outside.arrived(request)
        if faults.happens("outside: answer lost"):
            raise TimeoutError("no answer")
        await self._process.gate()
        return "ok"
