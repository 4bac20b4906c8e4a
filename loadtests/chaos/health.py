"""Whether the whole system works: every service is ready, and an order goes its way from the shop to the warehouse."""

import asyncio
import time

from deploy.local.layout import SERVICES
from loadtests.chaos.asking import SHOP, Clients
from loadtests.chaos.goods import probe_message

READY_ANSWER_LIMIT_S = 2.0
LOOK_EVERY_S = 0.15
PROBE_AGAIN_AFTER_S = 15.0
THERE = frozenset({"assigned", "picking", "packed", "shipped"})


class NotHealthy(Exception):
    """The system did not come back in time; the text says what was missing."""


class Health:
    """Looks from outside, as an operator would."""

    def __init__(self, clients: Clients, prefix: str) -> None:
        self._clients = clients
        self._prefix = prefix
        self._probes = 0

    async def wait(self, limit_s: float) -> float:
        """Wait until all is well; returns the seconds it took, or raises NotHealthy."""
        started_s = time.monotonic()
        missing = "nothing was looked at"
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    missing = ", ".join(f"{name} ({said})" for name, ready, said in await self._look() if not ready)
                    if missing:
                        await asyncio.sleep(LOOK_EVERY_S)
                        continue
                    missing = "the probe order does not arrive"
                    if await self._probe():
                        return time.monotonic() - started_s
        except TimeoutError:
            seen = ", ".join(f"{name} {said}" for name, _, said in await self._look())
            raise NotHealthy(f"not well again after {limit_s:.0f} s: {missing}; at last {seen}") from None

    async def _look(self) -> list[tuple[str, bool, str]]:
        """Ask every service whether it is ready."""
        answers = await asyncio.gather(*[self._clients.readiness(name, READY_ANSWER_LIMIT_S) for name in SERVICES])
        return [(name, ready, said) for name, (ready, said) in zip(SERVICES, answers, strict=True)]

    async def _probe(self) -> bool:
        """Send an order and follow it; tells whether it arrived before another look at the services is due."""
        self._probes += 1
        number = f"{self._prefix}-probe-{self._probes}"
        by = self._clients.bearer("operator", "probe")
        try:
            async with asyncio.timeout(PROBE_AGAIN_AFTER_S):
                await self._clients.webhook("probe order", f"msg-{number}", probe_message(number))
                while True:
                    found = await self._clients.read("tower", f"/orders/own.{SHOP}.{number}", by=by)
                    order = found.body.get("order") if found.ok else None
                    if order is not None and order["stage"] in THERE:
                        return True
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            return False
