"""Row locks as a database holds them: kept until the transaction ends, and a circle of waiting is a deadlock."""

import asyncio
from collections.abc import Callable
from typing import Any

from libs.stream.journal import JournalAway

Target = tuple[Any, Any]


class Locks:
    """Who holds which row, and who waits for whom. The one who closes a circle is sent away, and it is reported."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._held: dict[Target, Any] = {}
        self._waits: dict[Any, Target] = {}
        self._freed: dict[Target, list[asyncio.Future[None]]] = {}

    async def take(self, owner: Any, table: Any, key: Any) -> None:
        """Lock a row, waiting for whoever holds it."""
        target = (table, key)
        while self._held.get(target, owner) is not owner:
            if self._circle(owner, target):
                self._report(f"deadlock: {table.__name__} {key} is held by somebody who waits for the asker")
                self.release(owner)
                raise JournalAway("deadlock detected")
            self._waits[owner] = target
            freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._freed.setdefault(target, []).append(freed)
            try:
                await freed
            finally:
                self._waits.pop(owner, None)
        self._held[target] = owner

    def _circle(self, owner: Any, target: Target) -> bool:
        seen = 0
        holder = self._held.get(target)
        while holder is not None and seen <= len(self._waits):
            if holder is owner:
                return True
            wanted = self._waits.get(holder)
            holder = None if wanted is None else self._held.get(wanted)
            seen += 1
        return False

    def release(self, owner: Any) -> None:
        """End the owner's transaction."""
        for target in [target for target, holder in self._held.items() if holder is owner]:
            del self._held[target]
            for freed in self._freed.pop(target, ()):
                if not freed.done():
                    freed.set_result(None)
