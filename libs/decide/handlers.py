"""How a service says which message is decided by which function, and what that needs loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from contracts.envelope import Event
from libs.decide.messages import Command, Delivered, Due, Reply, Send, Unwake, Wake
from libs.decide.state import Entry, Needs, Row, State

Output = Event | Send | Wake | Unwake | Reply
M = TypeVar("M", bound=Event | Command | Due | Delivered)


@dataclass(frozen=True)
class On(Generic[M]):
    """One message type: `needs` names rows by the message alone, `then` names rows that only the first ones tell.

    `own_time`: an event is decided as of when its writer decided it, not as of when it is read here. `waits` False: it
    does not wait behind a parked message of its key, because it does not matter when it comes.
    """

    decide: Callable[[M, State, datetime], list[Output]]
    needs: Callable[[M], Needs]
    then: Callable[[M, State], Needs] | None = None
    own_time: bool = False
    waits: bool = True


@dataclass(frozen=True)
class Handlers:
    """Everything a service decides: events and commands by type, timers by kind, delivery results by destination.

    `settle` runs once after a batch's last decision, for facts worth one event a batch. `in_order` are destinations
    where a call waits until the one written before it under the same key has its outcome, be it hours: whoever hears
    of a task must hear of its end last. Elsewhere calls of one key fly side by side. No `not_before` there.
    """

    service: str
    on: Mapping[type[Event] | type[Command], On[Any]]
    timers: Mapping[str, On[Due]] = field(default_factory=dict)
    delivered: Mapping[str, On[Delivered]] = field(default_factory=dict)
    settle: Callable[[State, datetime], list[Output]] | None = None
    rows: tuple[type[Row], ...] = ()
    entries: tuple[type[Entry], ...] = ()
    in_order: frozenset[str] = frozenset()

    def find(self, message: Event | Command | Due | Delivered) -> On[Any] | None:
        """Return what decides `message`; None for an event type this service does not care about."""
        if isinstance(message, Due):
            return self.timers[message.kind]
        if isinstance(message, Delivered):
            return self.delivered.get(message.destination)
        return self.on.get(type(message))
