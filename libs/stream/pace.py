"""How long a worker rests between batches: not at all when it was idle, long enough under load that they are full."""

from dataclasses import dataclass


@dataclass
class Pace:
    """A batch costs about the same whether it holds five messages or two hundred, so a busy worker takes its time.

    It begins a batch no sooner than `rests` times the last one's duration after that one began, and looks for messages
    only then: one look brings all that came meanwhile. A lone message after a pause does not wait. The more the machine
    is contended, the longer a batch takes, the fuller is the next: nothing has to be tuned to a machine. `limit_ms`
    bounds what this may add to a message's way.
    """

    rests: float
    limit_ms: int
    _until_s: float = 0.0

    def rest_s(self, now_s: float) -> float:
        """Return how long to rest before messages are looked for."""
        return max(0.0, self._until_s - now_s)

    def note(self, began_s: float, ended_s: float, *, full: bool) -> None:
        """Take in how long a batch took; after a full one there is more to do at once."""
        self._until_s = began_s if full else began_s + min((ended_s - began_s) * self.rests, self.limit_ms / 1000)
